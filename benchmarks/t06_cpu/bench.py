"""T6: Lua that computes is as fast as the stock interpreter's, and a neighbour that computes for ever keeps nobody waiting.

The same file runs in a process and in `lua5.4`, both timed by `os.clock()`: the processor time of the whole program, so
what the runtime's threads need beside Lua counts, and what other programs of the machine take does not.

The ping: on a host with one worker one process computes without end. Another sleeps 1 ms, sends to a third and awaits
the answer. Its delay is all that is beyond that millisecond. Erlang has one scheduler.
"""
from pathlib import Path

from harness import Bench, Figure, Options, at_most, erlang, lua, obhut_exec, ratio_at_most, reported

HERE = Path(__file__).resolve().parent


def _work(name: str, what: str, size: int) -> Bench:
    return Bench(
        id="T6",
        title=what,
        sides={
            "ours": lambda: obhut_exec(HERE, "cpu:work", name, size),
            "lua": lambda: lua(HERE / "plain.lua", HERE / "work.lua", name, size),
        },
        figures=[Figure(f"T6.{name}", f"computing: {what}", "ms", ("ours", "time"), ratio_at_most(1.03),
                        ("lua", "time"), "lua5.4", scale=1e3)],
    )


def benches(options: Options) -> list[Bench]:
    pings = options.count(250)
    return [
        _work("fib", "fib(34)" if not options.quick else "fib(29)", 29 if options.quick else 34),
        _work("loop", "arithmetic in a loop", options.count(50_000_000)),
        _work("tables", "many tables", options.count(1_000_000)),
        Bench(
            id="T6",
            title=f"{pings} pings beside a process that computes",
            sides={
                "ours": lambda: obhut_exec(HERE, "cpu:ping", pings),
                "erlang": lambda: erlang("neighbour", pings, flags=("+S", "1")),
            },
            figures=[
                Figure(f"T6.ping.{key}", f"delay of a 1 ms ping beside a spinning neighbour, {name}", "ms",
                       ("ours", "delays"), target, ("erlang", "delays"), percentile=percent, scale=1e-6)
                for key, name, percent, target in (
                    ("p50", "p50", 50.0, reported()),
                    ("p999", "p99.9", 99.9, at_most(25, "≤ 25 ms")),
                )
            ],
        ),
    ]
