"""What the benchmarks are made of.

A benchmark is a folder `benchmarks/<name>/` with a `bench.py`, whose function `benches(options)` gives one or more
`Bench`. It is found by that file; nothing else knows it. Beside it lie the Lua application and the C driver it needs,
in `benchmarks/peers/` the same work in Erlang.

A `Bench` has *sides* (ours, Erlang's, ...): functions that do the work once and answer what they measured. The runner
calls them in turns, so that whatever else the machine does falls upon all of them. A `Figure` is a line of the report,
made of one measurement of our side and one of a peer.
"""
from .model import (Bench, BenchError, Curve, Figure, Measured, Options, Panel, Results, at_least, at_most,
                    ratio_at_most, reported)
from .sides import (BUILD, ROOT, driver, erlang, erlang_command, lua, native_app, obhut, obhut_exec,
                    python)

__all__ = [
    "BUILD", "ROOT", "Bench", "BenchError", "Curve", "Figure", "Measured", "Options", "Panel", "Results", "at_least",
    "at_most", "driver", "erlang", "erlang_command", "lua", "native_app", "obhut", "obhut_exec", "python",
    "ratio_at_most", "reported",
]
