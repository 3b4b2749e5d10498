"""T7: two native processes in mode handler send a number to and fro.

Both sides are C (`ping_pong.c`), called in their place by the runtime's workers; a message is one MessagePack integer. What
is beside it is the Erlang of T1, whose processes do the same. Both time the loop from inside.
"""
from pathlib import Path

from harness import Bench, Figure, Options, erlang, native_app, obhut_exec, ratio_at_most

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    trips = options.count(1_000_000)
    return [Bench(
        id="T7",
        title=f"native handlers, {trips:,} round trips",
        sides={
            "ours": lambda: obhut_exec(native_app(HERE, "ping_pong.c"), "handlers:main", trips),
            "erlang": lambda: erlang("ping_pong", trips),
        },
        figures=[Figure("T7", "ping-pong between two native handlers, round trip", "ns", ("ours", "round_trip"),
                        ratio_at_most(0.25), ("erlang", "round_trip"))],
    )]
