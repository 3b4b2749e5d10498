"""T16: a message from Lua to a native process and back.

The function waits in `obhut_context_receive` and sends what came (`echo.c`). In a child OS process a message is two frames
on a socket pair; so what it costs is told over the bare round trip of two OS processes that wait in read(2) (`pair.c`), of the
same round. On a thread of the program it is told beside a bare round trip of two threads that wake each other with a futex.
Medians of the round trips.

Where an idle processor has to be woken, as in most virtual machines, that is nearly all there is to see, and differs from minute
to minute by a factor of five; so T16.one has both sides on one processor: what is left is what the code itself costs.
"""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Bench, Figure, Measured, Options, at_most, driver, native_app, obhut_exec, reported

HERE = Path(__file__).resolve().parent


@contextmanager
def one_processor() -> Iterator[None]:
    """What is started within runs on one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def benches(options: Options) -> list[Bench]:
    trips = options.count(10_000)

    def echo(entry: str) -> Measured:
        return obhut_exec(native_app(HERE, "echo.c"), "native_messages:main", f"native_messages:{entry}", trips)

    def child() -> Measured:
        measured = echo("process")
        return {"each": measured["each"], "over": measured["each"] - driver(HERE / "pair.c", trips)["each"]}

    def child_on_one() -> Measured:
        with one_processor():
            return child()

    return [Bench(
        id="T16",
        title=f"{trips:,} messages to a native process and back",
        sides={
            "child": child,
            "one": child_on_one,
            "pair": lambda: driver(HERE / "pair.c", trips),
            "thread": lambda: echo("thread"),
            "futex": lambda: driver(HERE.parent / "t08_ports" / "ports.c", "futex", trips),
        },
        figures=[
            Figure("T16.over", "Lua, native process in a child OS process and back, over a bare round trip", "µs",
                   ("child", "over"), at_most(20, "≤ 20 µs"), scale=1e-3),
            Figure("T16.one", "the same, all on one processor", "µs", ("one", "over"), at_most(20, "≤ 20 µs"), scale=1e-3),
            Figure("T16.child", "Lua, native process in a child OS process and back", "µs", ("child", "each"), reported(),
                   ("pair", "each"), "socket pair", scale=1e-3),
            Figure("T16.thread", "Lua, native process on a thread and back", "µs", ("thread", "each"), reported(),
                   ("futex", "each"), "futex", scale=1e-3),
        ],
    )]
