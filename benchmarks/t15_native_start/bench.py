"""T15: the start of a native process that has a child OS process of its own.

From `process.spawn_monitored` in Lua to the EXIT with what the function has returned: the child takes the order, opens the
library, calls the function, says what it returned, and is gone. Warm: a child is waiting for it. Cold: the first of a
runtime, for which a program has to be started. Beside each the same by hand, in C, without a runtime.
"""
from pathlib import Path

from harness import Bench, Figure, Measured, Options, at_most, driver, native_app, obhut_exec

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    runtimes, starts = 5, options.count(40)

    def ours() -> Measured:
        app = native_app(HERE, "successor.c")
        runs = [obhut_exec(app, "native_start:main", starts) for _ in range(runtimes)]
        return {"cold": [run["cold"] for run in runs], "warm": [sample for run in runs for sample in run["warm"]]}

    def bare() -> Measured:
        library = native_app(HERE, "successor.c") / "libsuccessor.so"
        return driver(HERE / "bare.c", library, "successor", starts)

    return [Bench(
        id="T15",
        title=f"native processes, {runtimes} × {starts} starts",
        sides={"ours": ours, "c": bare},
        figures=[
            Figure("T15.warm", "start of an isolated native process to its result, a child waiting", "µs", ("ours", "warm"),
                   at_most(300, "≤ 300 µs"), ("c", "warm"), "C", percentile=50, scale=1e-3),
            Figure("T15.cold", "the same, the first of a runtime", "ms", ("ours", "cold"), at_most(10, "≤ 10 ms"),
                   ("c", "cold"), "C", percentile=50, scale=1e-6),
        ],
    )]
