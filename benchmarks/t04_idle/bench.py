"""T4: what an idle worker weighs, in memory that the system sees (RSS): the seed's task_worker, all included.

A C program loads the worker, spawns so many, waits until each has begun, and looks at its own RSS before and after.
Then every worker answers messages, one at a time: "work", which it answers after 100 ms. The Erlang process does the
same, but prints nothing.
"""
import shutil
from collections.abc import Callable
from pathlib import Path

from harness import (BUILD, ROOT, Bench, BenchError, Curve, Figure, Measured, Options, Panel, Results, at_least, at_most,
                     driver, erlang)
from harness.machine import available_memory

HERE = Path(__file__).resolve().parent
WORKER = ROOT / "examples" / "worker-pool" / "src" / "workers" / "task_worker.lua"
KB = 1 / 1000  # the targets' KB are thousands: the smaller reading


def _application(patient: bool) -> Path:
    """The seed's worker, and a host. As it is, the worker wakes every 5 s to say that it is idle; a patient one waits for an
    hour, and is the same otherwise."""
    folder = BUILD / "t04_idle" / ("patient" if patient else "app")
    folder.mkdir(parents=True, exist_ok=True)
    source = WORKER.read_text()
    if patient:
        if source.count('time.after("5s")') != 1:
            raise BenchError(f"{WORKER}: does not wait as it did")
        source = source.replace('time.after("5s")', 'time.after("1h")')
    (folder / WORKER.name).write_text(source)
    shutil.copy(HERE / "app.yaml", folder / "_index.yaml")
    return folder


def _ours(count: int, messages: int) -> Measured:
    # Of more than 200,000, so many would be waking at any moment that it would be a measurement of that: they wait for longer.
    # What others of the machine need is left to them: if that many do not fit, there are fewer.
    measured = driver(HERE / "idle.c", _application(count > 200_000), count, messages, int(available_memory() * 0.8))
    if measured["answered"] != measured["alive"] * messages:
        raise BenchError(f"{measured['answered']:,} answers of {measured['alive']:,} workers")
    return measured


def _erlang(count: int, messages: int) -> Measured:
    return erlang("idle", count, messages)


def _all_alive(count: int) -> Callable[[Results], None]:
    def check(results: Results) -> None:
        for side, rounds in results.items():
            if any(measured["alive"] != count for measured in rounds):
                raise BenchError(f"{side}: there is no memory for {count:,} workers")
    return check


def benches(options: Options) -> list[Bench]:
    some = options.count(5_000)
    messages = options.count(100)
    many = options.count(100_000, full=1_000_000)
    alive = f"each of {many:,} workers alive"
    how_many: list[Figure] = []
    if options.full:
        alive = f"each of as many workers alive as fit, up to {many:,},"
        how_many = [Figure("T4.count", "workers alive at once that have all answered a message", "", ("ours", "alive"),
                           at_least(many, f"≥ {many:,}"), ("erlang", "alive"))]
    return [
        Bench(
            id="T4",
            title=f"{some:,} idle workers, then {messages} messages each",
            sides={"ours": lambda: _ours(some, messages), "erlang": lambda: _erlang(some, messages)},
            figures=[
                Figure("T4.idle", "an idle task_worker, memory", "KB", ("ours", "idle"), at_most(12.5, "≤ 12.5 KB"),
                       ("erlang", "idle"), scale=KB),
                Figure("T4.used", f"the same after {messages} messages each", "KB", ("ours", "used"),
                       at_most(15, "≤ 15 KB"), ("erlang", "used"), scale=KB),
            ],
            most_rounds=2,
            check=_all_alive(some),
        ),
        Bench(
            id="T4",
            title=f"{many:,} workers alive",
            sides={"ours": lambda: _ours(many, 1), "erlang": lambda: _erlang(many, 1)},
            figures=[
                Figure("T4.alive", f"{alive} that have all answered a message", "KB", ("ours", "used"),
                       at_most(15, "≤ 15 KB (1,000,000 in 15 GB)"), ("erlang", "used"), scale=KB),
                *how_many,
            ],
            most_rounds=1 if options.full else 2,
            check=None if options.full else _all_alive(many),
        ),
    ]


def curves(options: Options) -> list[Curve]:
    sizes = [10, 100, 1_000, 10_000] + ([] if options.quick else [100_000]) + ([1_000_000] if options.full else [])

    def if_all(measured: Measured, count: int) -> Measured:
        return measured if measured["alive"] == count else {}

    return [Curve(
        x="processes alive",
        sizes=sizes,
        sides={"Obhut": lambda count: if_all(_ours(count, 0), count),
               "Erlang": lambda count: if_all(_erlang(count, 0), count)},
        panels=[Panel("memory", "Memory of an idle process", "KB each", "idle", KB),
                Panel("spawn", "Spawn until all wait", "µs each", "spawn", 1e-3)],
    )]
