"""T11: 1,000,000 timers armed, and others that fire on time meanwhile.

10,000 processes arm 100 timers each, an hour ahead; the cost is the median of the processes. Then, with all those armed,
each process waits once a second for its own moment: 10,000 timers fire in a second, evenly spread. A sample is the time
from when a timer was due until the process runs: what a program sees. Erlang's timers know milliseconds; theirs are due
at a whole one. Beside the arming, what of it is liblua's own: the same loop in stock states, where a timer is an object with a
deadline and nothing else.
"""
from pathlib import Path

from harness import Bench, Figure, Options, at_most, driver, erlang, obhut_exec, reported

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    holders = options.count(10_000)
    timers, seconds = 100, 2
    late = [("p50", 50.0, reported()), ("p99", 99.0, reported()), ("p999", 99.9, at_most(2, "≤ 2 ms")),
            ("most", 100.0, reported())]
    names = {"p50": "p50", "p99": "p99", "p999": "p99.9", "most": "the latest"}
    return [Bench(
        id="T11",
        title=f"{holders * timers:,} timers armed, {holders:,} a second fire",
        sides={
            "ours": lambda: obhut_exec(HERE, "timers:main", holders, timers, seconds),
            "erlang": lambda: erlang("timers", holders, timers, seconds),
            "stock": lambda: driver(HERE / "stock.c", holders, timers, package="lua5.4"),
        },
        figures=[
            Figure("T11.arm", f"arming a timer, {holders * timers:,} in all", "ns", ("ours", "arming"),
                   at_most(200, "≤ 200 ns"), ("erlang", "arming"), percentile=50.0),
            Figure("T11.stock", "the same loop in stock states, objects with a deadline", "ns", ("stock", "arming"), reported(),
                   ("erlang", "arming"), percentile=50.0),
            *(Figure(f"T11.{key}", f"lateness of {holders:,} timers a second, {names[key]}", "ms", ("ours", "late"),
                     target, ("erlang", "late"), percentile=percent, scale=1e-6) for key, percent, target in late),
        ],
        most_rounds=3,
    )]
