"""T3: one process sends, another receives, each as fast as it can; the time until the last has been received.

The second line compares a full mailbox with a short one: the receiver waits until so many messages are queued, then
takes them all. The cost of a message is that of its sending and its receiving. Beside them a C program does with the blocks
alone what sender and receiver do: what a full mailbox costs more than a short one because no cache holds it.
"""
from pathlib import Path

from harness import Bench, Curve, Figure, Options, Panel, driver, erlang, obhut_exec, ratio_at_most, reported

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    messages = options.count(500_000)
    # A mailbox holds 1,000,000 at most by default; the message that says "go" is one of them.
    full = options.count(1_000_000)
    return [
        Bench(
            id="T3",
            title=f"flood, {messages:,} messages",
            sides={
                "ours": lambda: obhut_exec(HERE, "flood:flood", messages),
                "erlang": lambda: erlang("flood", "flood", messages),
            },
            figures=[Figure("T3", "one-way flood, per message", "ns", ("ours", "each"), ratio_at_most(2.5),
                            ("erlang", "each"))],
        ),
        Bench(
            id="T3",
            title=f"mailbox of {full:,} and of 1,000",
            sides={
                "full": lambda: obhut_exec(HERE, "flood:queued", full, 1),
                "short": lambda: obhut_exec(HERE, "flood:queued", 1_000, full // 1_000),
                "erlang": lambda: erlang("flood", "queued", full, 1),
                "blocks": lambda: driver(HERE / "blocks.c", full, 1),
                "few": lambda: driver(HERE / "blocks.c", 1_000, full // 1_000),
            },
            figures=[
                Figure("T3.length", f"a message at {full:,} queued, beside one at 1,000", "ns", ("full", "each"),
                       ratio_at_most(1.0), ("short", "each"), "ours, 1,000"),
                Figure("T3.full", f"a message at {full:,} queued", "ns", ("full", "each"), ratio_at_most(2.5),
                       ("erlang", "each")),
                Figure("T3.memory", f"a block of memory at {full:,} queued, beside one at 1,000, in C alone", "ns",
                       ("blocks", "each"), reported(), ("few", "each"), "C, 1,000"),
            ],
        ),
    ]


def curves(options: Options) -> list[Curve]:
    def times(length: int) -> int:
        return max(options.count(200_000) // length, 1)

    return [Curve(
        x="messages queued",
        sizes=[10, 100, 1_000, 10_000, 100_000, 1_000_000],
        sides={"Obhut": lambda length: obhut_exec(HERE, "flood:queued", length, times(length)),
               "Erlang": lambda length: erlang("flood", "queued", length, times(length))},
        panels=[Panel("mailbox", "A message, from send to receive", "ns each", "each")],
    )]
