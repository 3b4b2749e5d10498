"""T9: what Python adds.

A send to a port, and a round trip to a Lua process and back less the bare round trip of two threads that wake each other
with a futex, of the same round, beside the same in C. Beside the send what any call from Python costs: the number packed by
msgpack, and a C function that does nothing called through ctypes with parameters of the same types.
"""
from pathlib import Path

from harness import Bench, Figure, Measured, Options, at_most, driver, python

HERE = Path(__file__).resolve().parent
PORTS = HERE.parent / "t08_ports"


def benches(options: Options) -> list[Bench]:
    sends, trips = options.count(50_000), options.count(10_000)

    def ours() -> Measured:
        measured = python(HERE / "python.py", PORTS, sends, trips)
        futex = driver(PORTS / "ports.c", "futex", trips)
        return {"send": measured["send"], "bare": measured["bare"], "over": measured["request"] - futex["each"]}

    def in_c() -> Measured:
        waited = driver(PORTS / "ports.c", "waited", PORTS, trips)
        futex = driver(PORTS / "ports.c", "futex", trips)
        # Against the clock's noise: it cannot be faster than the wake-ups alone.
        return {"over": max(waited["each"] - futex["each"], 1)}

    return [Bench(
        id="T9",
        title=f"Python: {sends:,} sends, {trips:,} round trips",
        sides={"python": ours, "c": in_c},
        figures=[
            Figure("T9.send", "a send from Python", "µs", ("python", "send"), at_most(2.0, "≤ 2 µs"),
                   ("python", "bare"), "ctypes", scale=1e-3),
            Figure("T9.request", "Python, Lua process and back, over a futex round trip", "µs", ("python", "over"),
                   at_most(15.0, "≤ 15 µs"), ("c", "over"), "C", scale=1e-3),
        ],
    )]
