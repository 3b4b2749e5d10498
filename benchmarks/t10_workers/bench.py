"""T10: two workers do 1.8 times the work of one.

Hosts with one and with two workers do the same: 1,000 pairs play ping-pong, or processes compute. The figure is how much
faster two are; beside it Erlang's with one and two schedulers, which says what the machine gave at that moment. With
fewer than two free cores neither can reach two.
"""
from pathlib import Path

from harness import Bench, Figure, Measured, Options, at_least, erlang, obhut_exec

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    trips = options.count(500)
    size = options.count(1_000_000)

    def ours(work: str, count: int, amount: int) -> Measured:
        one, two = (obhut_exec(HERE, "workers:main", work, count, amount, f"workers:{host}", host=f"workers:{host}")
                    for host in ("one", "two"))
        return {"gain": float(one["time"]) / float(two["time"])}

    def theirs(work: str, count: int, amount: int) -> Measured:
        one, two = (erlang("workers", work, count, amount, flags=("+S", schedulers)) for schedulers in ("1", "2"))
        return {"gain": float(one["time"]) / float(two["time"])}

    def bench(key: str, work: str, count: int, amount: int, what: str) -> Bench:
        return Bench(
            id="T10",
            title=f"one worker and two: {what}",
            sides={"ours": lambda: ours(work, count, amount), "erlang": lambda: theirs(work, count, amount)},
            figures=[Figure(key, f"two workers against one, {what}", "×", ("ours", "gain"), at_least(1.8, "≥ 1.8 ×"),
                            ("erlang", "gain"))],
        )

    return [
        bench("T10.pairs", "pairs", 1_000, trips, "1,000 pairs of ping-pong"),
        bench("T10.cpu", "cpu", 64, size, "64 processes that compute"),
    ]
