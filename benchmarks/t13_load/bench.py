"""T13: a large application is loaded, and a small one begins, without a wait.

The large one is made here: folders of a hundred processes each, every one with a Lua file of its own. A C program times
`obhut_runtime_load_folder`. Beside it `lua5.4` compiles the same files, which is the part that nobody can leave out. The
small one has ten entries; the time is from the start of `obhut run` to the first line that a Lua process prints, beside
that of an Erlang program.
"""
import select
import shutil
import subprocess
import time
from pathlib import Path

from harness import BUILD, Bench, BenchError, Figure, Measured, Options, at_most, driver, erlang_command, lua, obhut

HERE = Path(__file__).resolve().parent

PROCESS = """\
local function main(name)
    local inbox, events = process.inbox(), process.events()
    while true do
        local got = channel.select {{ inbox:case_receive(), events:case_receive() }}
        if got.channel == events then return "asked to end" end
        local message = got.value
        process.send(message:from(), "answer {number}", name, message:payload():data())
    end
end

return {{ main = main }}
"""


def _folder(entries: int) -> Path:
    """An application of so many entries; made anew only if there is none of that size."""
    folder = BUILD / "t13_load" / f"app-{entries}"
    list_of_files = folder / "sources.txt"
    if list_of_files.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    sources = []
    for first in range(0, entries, 100):
        group = folder / f"group{first // 100}"
        group.mkdir(parents=True)
        lines = ['version: "1.0"', f"namespace: app.group{first // 100}", "entries:"]
        for number in range(first, min(first + 100, entries)):
            if number == 0:
                lines += ["  - name: processes", "    kind: process.host", "    lifecycle: { auto_start: true }"]
                continue
            source = group / f"process{number}.lua"
            source.write_text(PROCESS.format(number=number))
            sources.append(str(source))
            lines += [f"  - name: process{number}", "    kind: process.lua", f"    source: file://{source.name}",
                      "    modules: [time]"]
        (group / "_index.yaml").write_text("\n".join(lines) + "\n")
    # Last, as a sign that the rest is there.
    list_of_files.write_text("\n".join(sources) + "\n")
    return folder


def _first_line(command: list[str]) -> Measured:
    """Milliseconds from the start of a program to its first line."""
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        try:
            assert program.stdout
            ready = select.select([program.stdout], [], [], 30)[0]
            elapsed = time.monotonic() - start
            if not ready or program.stdout.readline().strip() != b"ready":
                raise BenchError(f"no first line: {command}")
        finally:
            # Not asked to end in order, which takes Erlang ten seconds.
            program.kill()
    return {"time": elapsed * 1000}


def _middle_of(runs: int, command: list[str]) -> Measured:
    """The median of some starts in a round, because one is short."""
    times = sorted(float(_first_line(command)["time"]) for _ in range(runs))
    return {"time": times[len(times) // 2]}


def benches(options: Options) -> list[Bench]:
    entries = options.count(10_000)
    return [
        Bench(
            id="T13",
            title=f"an application of {entries:,} entries is loaded",
            sides={
                "ours": lambda: driver(HERE / "load.c", _folder(entries), entries),
                "lua": lambda: lua(HERE / "compile.lua", _folder(entries) / "sources.txt"),
            },
            figures=[Figure("T13.load", f"loading an application of {entries:,} entries", "ms", ("ours", "time"),
                            at_most(1000, "≤ 1 s"), ("lua", "time"), "lua5.4, compiling alone")],
            most_rounds=3,
        ),
        Bench(
            id="T13",
            title="`obhut run` of 10 entries to the first line",
            sides={
                "ours": lambda: _middle_of(5, [obhut(), "run", str(HERE)]),
                "erlang": lambda: _middle_of(5, erlang_command("idle_forever")),
            },
            figures=[Figure("T13.start", "`obhut run` of 10 entries to the first line of Lua", "ms", ("ours", "time"),
                            at_most(15, "≤ 15 ms"), ("erlang", "time"))],
        ),
    ]
