"""T1: two processes of one host send a number to and fro.

Both sides of the Lua do what a server does: `inbox:receive()`, `msg:from()`, `payload():data()`, `process.send`. The
Erlang carries the sender in the message, as its servers do. Both time the loop from inside. Beside them, what of it is liblua's
own: the same Lua in two stock states on one thread, with no more than it takes to hand a number over.
"""
from pathlib import Path

from harness import Bench, Curve, Figure, Options, Panel, driver, erlang, obhut_exec, ratio_at_most, reported

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    trips = options.count(200_000)
    return [Bench(
        id="T1",
        title=f"ping-pong, {trips:,} round trips",
        sides={
            "ours": lambda: obhut_exec(HERE, "ping_pong:main", trips),
            "erlang": lambda: erlang("ping_pong", trips),
            "stock": lambda: driver(HERE / "stock.c", trips, package="lua5.4"),
        },
        figures=[
            Figure("T1", "ping-pong between two Lua processes, round trip", "ns", ("ours", "round_trip"),
                   ratio_at_most(1.0), ("erlang", "round_trip")),
            Figure("T1.stock", "the same Lua in stock states on one thread, no runtime at all", "ns", ("stock", "round_trip"),
                   reported(), ("erlang", "round_trip"), "Erlang"),
        ],
    )]


def curves(options: Options) -> list[Curve]:
    def trips(size: int) -> int:
        return max(options.count(2_000_000) // (size + 100), 50)

    return [Curve(
        x="integers in the message",
        sizes=[1, 10, 100, 1_000, 10_000, 100_000],
        sides={"Obhut": lambda size: obhut_exec(HERE, "ping_pong:main", trips(size), size),
               "Erlang": lambda size: erlang("ping_pong", trips(size), size)},
        panels=[Panel("message", "Round trip of a list", "µs", "round_trip", 1e-3)],
    )]
