"""T15: the start of a native process that has a child OS process of its own.

From `process.spawn_monitored` in Lua to the first line of the function in the child, which has taken the order and opened the
library; and to the EXIT with what the function has returned. Warm: a child is waiting for it. Cold: the first of a
runtime, for which a program has to be started. Beside each the same by hand, in C, without a runtime.
"""
from pathlib import Path

from harness import Bench, Figure, Measured, Options, at_most, driver, native_app, obhut_exec, reported

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    runtimes, starts = 5, options.count(40)

    def ours() -> Measured:
        app = native_app(HERE, "moment.c")
        runs = [obhut_exec(app, "native_start:main", starts) for _ in range(runtimes)]
        return {"cold": [run["cold"] for run in runs]} | {
            key: [sample for run in runs for sample in run[key]] for key in ("warm", "ended")}

    def bare() -> Measured:
        library = native_app(HERE, "moment.c") / "libmoment.so"
        return driver(HERE / "bare.c", library, "moment", starts)

    return [Bench(
        id="T15",
        title=f"native processes, {runtimes} × {starts} starts",
        sides={"ours": ours, "c": bare},
        figures=[
            Figure("T15.warm", "start of an isolated native process, a child waiting", "µs", ("ours", "warm"),
                   at_most(300, "≤ 300 µs"), ("c", "warm"), "C", percentile=50, scale=1e-3),
            Figure("T15.exit", "the same until its EXIT has come", "µs", ("ours", "ended"), reported(), ("c", "ended"), "C",
                   percentile=50, scale=1e-3),
            Figure("T15.cold", "start of the first of a runtime", "ms", ("ours", "cold"), at_most(10, "≤ 10 ms"),
                   ("c", "cold"), "C", percentile=50, scale=1e-6),
        ],
    )]
