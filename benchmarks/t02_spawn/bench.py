"""T2: spawn_monitored, run a `main` that returns its argument, receive the EXIT; one at a time.

The second line is the floor of anyone who makes a Lua state for each task with the stock library: `luaL_newstate`,
`luaL_openlibs`, load of the same source as compiled code, `lua_close`.
"""
from pathlib import Path

from harness import Bench, Figure, Options, driver, erlang, obhut_exec, ratio_at_most

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    spawns = options.count(20_000)
    ours = ("ours", "each")
    return [Bench(
        id="T2",
        title=f"spawn, run and end, {spawns:,} times",
        sides={
            "ours": lambda: obhut_exec(HERE, "spawn:main", spawns),
            "erlang": lambda: erlang("spawn", spawns * 5),
            "c": lambda: driver(HERE / "newstate.c", HERE / "leaf.lua", spawns, package="lua5.4"),
        },
        figures=[
            Figure("T2", "spawn_monitored + run + EXIT", "ns", ours, ratio_at_most(2.0), ("erlang", "each")),
            Figure("T2.state", "the same, beside a stock Lua state made and closed in C", "ns", ours,
                   ratio_at_most(0.125, "ratio ≤ 1/8"), ("c", "each"), "C, liblua"),
        ],
    )]
