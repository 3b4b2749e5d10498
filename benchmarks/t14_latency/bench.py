"""T14: how long it takes until a process that computes is dead, and until one that crashed runs again.

The kill: 1,000 processes compute without end on a host with one worker (Erlang: one scheduler). Another of that host
starts one more, lets it run, terminates it and waits for its EXIT. The sample is from the call to the EXIT. There the
victim never runs at that moment, because who kills it does. So there is a second kill: of a lonely process that computes
on another worker than the one of who kills it, and has to be interrupted.

The restart: a supervisor, written by hand on both sides, is linked to a worker and starts it again when it fails. The
sample is from just before the worker's error to the first line of the next one's `main`. The same again with a
supervisor that is declared: a `supervisor` entry, and OTP's `supervisor`.
"""
from pathlib import Path

from harness import Bench, Figure, Options, erlang, obhut_exec, reported

HERE = Path(__file__).resolve().parent
PERCENTILES = (("p50", "p50", 50.0), ("p99", "p99", 99.0), ("p999", "p99.9", 99.9))
# Of a series of samples in nanoseconds.
UNITS = {"ms": 1e-6, "µs": 1e-3}


def figures(name: str, what: str, series: str, unit: str) -> list[Figure]:
    return [Figure(f"T14.{name}.{key}", f"{what}, {shown}", unit, ("ours", series), reported(), ("erlang", series),
                   percentile=percent, scale=UNITS[unit])
            for key, shown, percent in PERCENTILES]


def kills_among(spinners: int, kills: int, host: str, schedulers: int, title: str, shown: list[Figure],
                most_rounds: int | None = None) -> Bench:
    return Bench(
        id="T14", title=f"{kills} kills {title}", figures=shown, most_rounds=most_rounds,
        sides={
            "ours": lambda: obhut_exec(HERE, "latency:kill", spinners, kills, host=host),
            "erlang": lambda: erlang("latency", "kill", spinners, kills, flags=("+S", str(schedulers))),
        })


def restarts_by(supervisor: str, peer: str, restarts: int, title: str, shown: list[Figure]) -> Bench:
    return Bench(
        id="T14", title=f"{restarts:,} restarts {title}", figures=shown,
        sides={
            "ours": lambda: obhut_exec(HERE, "latency:restart", restarts, f"latency:{supervisor}", host="latency:all"),
            "erlang": lambda: erlang("latency", peer, restarts),
        })


def benches(options: Options) -> list[Bench]:
    kills = options.count(250, full=1_000)
    restarts = options.count(1_000)
    spinners = options.count(1_000)
    return [
        kills_among(
            spinners, kills, "latency:one", 1, f"among {spinners:,} that compute",
            figures("kill", f"kill of one of {spinners:,} spinners on one worker to its EXIT", "kills", "ms"),
            # Until each of the bystanders has computed for a slice of time, nobody else runs: that takes most of a round.
            most_rounds=None if options.full else 2),
        kills_among(
            0, kills, "latency:all", 2, "of one that runs on another worker",
            figures("running", "kill of a spinner that runs on another worker to its EXIT", "kills", "ms")),
        restarts_by(
            "supervisor", "restart", restarts, "by a supervisor written by hand",
            figures("restart", "crash of a worker until its successor runs", "restarts", "µs")),
        restarts_by(
            "pool", "declared", restarts, "by a declared supervisor",
            figures("declared", "crash of a declared child until its successor runs", "restarts", "µs")),
    ]
