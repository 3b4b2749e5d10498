"""T4: what an idle worker weighs, in memory that the system sees (RSS): the seed's task_worker, all included.

A C program loads the worker, spawns so many, waits until each has begun, and looks at its own RSS before and after.
Then every worker answers messages, one at a time: "work", which it answers after 100 ms. The Erlang process does the
same, but prints nothing.
"""
import shutil
from pathlib import Path

from harness import BUILD, ROOT, Bench, Curve, Figure, Measured, Options, at_most, driver, erlang
from harness.machine import available_memory

HERE = Path(__file__).resolve().parent
WORKER = ROOT / "examples" / "worker-pool" / "src" / "workers" / "task_worker.lua"
KB = 1 / 1000  # the targets' KB are thousands: the smaller reading


def _application() -> Path:
    """The seed's worker as it is, and a host."""
    folder = BUILD / "t04_idle" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(WORKER, folder)
    shutil.copy(HERE / "app.yaml", folder / "_index.yaml")
    return folder


def _ours(count: int, messages: int) -> Measured:
    # Rather fewer processes than a machine without memory for anybody else.
    return driver(HERE / "idle.c", _application(), count, messages, int(available_memory() * 0.85))


def _erlang(count: int, messages: int) -> Measured:
    return erlang("idle", count, messages)


def benches(options: Options) -> list[Bench]:
    some = options.count(5_000)
    messages = options.count(100)
    many = options.count(100_000, full=1_000_000)
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
        ),
        Bench(
            id="T4",
            title=f"{many:,} workers alive",
            sides={"ours": lambda: _ours(many, 1), "erlang": lambda: _erlang(many, 1)},
            figures=[
                Figure("T4.alive", f"each of {many:,} workers alive that have all answered a message", "KB",
                       ("ours", "used"), at_most(15, "≤ 15 KB (1,000,000 in 15 GB)"), ("erlang", "used"), scale=KB),
            ],
            most_rounds=1 if options.full else 2,
        ),
    ]


def curves(options: Options) -> list[Curve]:
    sizes = [10, 100, 1_000, 10_000] if options.quick else [10, 100, 1_000, 10_000, 100_000]
    if options.full:
        sizes.append(1_000_000)
    x = "processes alive"
    return [
        Curve("memory", "Memory of an idle process", x, "KB each", sizes,
              {"Obhut": lambda count: float(_ours(count, 0)["idle"]) * KB,
               "Erlang": lambda count: float(_erlang(count, 0)["idle"]) * KB}),
        Curve("spawn", "Spawn until it waits", x, "µs each", sizes,
              {"Obhut": lambda count: float(_ours(count, 0)["spawn"]) / 1000,
               "Erlang": lambda count: float(_erlang(count, 0)["spawn"]) / 1000}),
    ]
