"""T8: from C to a Lua process and back, through a port.

Waited: the port waits in `obhut_port_receive`, so that a thread is woken on either side; beside it the bare round trip of
two threads that wake each other with a futex. Polled: the port looks until the answer is there; beside it a round trip
between two Lua processes (T1), which wakes no thread either.
"""
from pathlib import Path

from harness import Bench, Figure, Options, driver, obhut_exec, ratio_at_most

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    trips = options.count(20_000)
    source = HERE / "ports.c"
    return [Bench(
        id="T8",
        title=f"{trips:,} round trips through a port",
        sides={
            "waited": lambda: driver(source, "waited", HERE, trips),
            "futex": lambda: driver(source, "futex", trips),
            "polled": lambda: driver(source, "polled", HERE, trips),
            "lua": lambda: obhut_exec(HERE.parent / "t01_ping_pong", "ping_pong:main", trips),
        },
        figures=[
            Figure("T8.waited", "C port, Lua process and back, waited for", "µs", ("waited", "each"), ratio_at_most(1.3),
                   ("futex", "each"), "futex", scale=1e-3),
            Figure("T8.polled", "C port, Lua process and back, polled", "ns", ("polled", "each"), ratio_at_most(3.0),
                   ("lua", "round_trip"), "ours, T1"),
        ],
    )]
