"""T5: 10,000 processes linked in a chain. The first fails; the time until the last EXIT has been received.

A process that is in no chain monitors all, tells the first to fail, and counts. That message is part of the time.
"""
from pathlib import Path

from harness import Bench, Figure, Options, erlang, obhut_exec, ratio_at_most

HERE = Path(__file__).resolve().parent


def benches(options: Options) -> list[Bench]:
    length = options.count(10_000)
    return [Bench(
        id="T5",
        title=f"a chain of {length:,} links dies",
        sides={
            "ours": lambda: obhut_exec(HERE, "chain:main", length),
            "erlang": lambda: erlang("chain", length),
        },
        figures=[Figure("T5", f"{length:,} linked in a chain, the first fails, all dead", "ms", ("ours", "all_dead"),
                        ratio_at_most(1.0), ("erlang", "all_dead"), scale=1e-6)],
    )]
