"""T12: an idle runtime does not wake up.

An application is run that has one process, which waits for a message, and no timer. What is counted is how often any of
the program's threads ran, from the system's own count of their context switches (`/proc/<pid>/task/*/status`, both
kinds), in some seconds after a pause.
"""
import select
import subprocess
import time
from pathlib import Path

from harness import Bench, BenchError, Figure, Measured, Options, at_most, erlang_command, obhut

HERE = Path(__file__).resolve().parent


def _switches(pid: int) -> tuple[int, set[str]]:
    """Context switches of all threads, and which threads those are."""
    total, threads = 0, set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        threads.add(task.name)
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches:" in line:
                total += int(line.split()[1])
    return total, threads


def _wakeups(command: list[str], seconds: float) -> Measured:
    """`command` prints a line when it is ready, then does nothing."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        try:
            assert program.stdout
            if not select.select([program.stdout], [], [], 30)[0] or program.stdout.readline().strip() != "ready":
                raise BenchError(f"it did not say that it is ready: {command}")
            time.sleep(0.5)
            before, threads = _switches(program.pid)
            time.sleep(seconds)
            after, threads_after = _switches(program.pid)
        finally:
            # Not asked to end in order, which takes Erlang ten seconds.
            program.kill()
    if threads != threads_after:
        raise BenchError(f"threads came or went in an idle program: {command}")
    return {"wakeups": (after - before) / seconds}


def benches(options: Options) -> list[Bench]:
    seconds = 1.0 if options.quick else 3.0
    return [Bench(
        id="T12",
        title=f"wake-ups of an idle runtime in {seconds:g} s",
        sides={
            "ours": lambda: _wakeups([obhut(), "run", str(HERE)], seconds),
            "erlang": lambda: _wakeups(erlang_command("idle_forever"), seconds),
        },
        figures=[Figure("T12", "an idle runtime, wake-ups of all threads", "a second", ("ours", "wakeups"),
                        at_most(0, "0"), ("erlang", "wakeups"))],
        most_rounds=3,
    )]
