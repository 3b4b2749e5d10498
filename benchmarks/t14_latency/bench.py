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


def benches(options: Options) -> list[Bench]:
    kills = options.count(250, full=1_000)
    restarts = options.count(1_000)
    spinners = options.count(1_000)
    return [
        Bench(
            id="T14",
            title=f"{kills} kills among {spinners:,} that compute",
            sides={
                "ours": lambda: obhut_exec(HERE, "latency:kill", spinners, kills, host="latency:one"),
                "erlang": lambda: erlang("latency", "kill", spinners, kills, flags=("+S", "1")),
            },
            # Until each of the bystanders has computed for a slice of time, nobody else runs: that takes most of a round.
            most_rounds=None if options.full else 2,
            figures=[Figure(f"T14.kill.{key}", f"kill of one of {spinners:,} spinners on one worker to its EXIT, {name}",
                            "ms", ("ours", "kills"), reported(), ("erlang", "kills"), percentile=percent, scale=1e-6)
                     for key, name, percent in PERCENTILES],
        ),
        Bench(
            id="T14",
            title=f"{kills} kills of one that runs on another worker",
            sides={
                "ours": lambda: obhut_exec(HERE, "latency:kill", 0, kills, host="latency:all"),
                "erlang": lambda: erlang("latency", "kill", 0, kills, flags=("+S", "2")),
            },
            figures=[Figure(f"T14.running.{key}", f"kill of a spinner that runs on another worker to its EXIT, {name}",
                            "ms", ("ours", "kills"), reported(), ("erlang", "kills"), percentile=percent, scale=1e-6)
                     for key, name, percent in PERCENTILES],
        ),
        Bench(
            id="T14",
            title=f"{restarts:,} restarts",
            sides={
                "ours": lambda: obhut_exec(HERE, "latency:restart", restarts, host="latency:all"),
                "erlang": lambda: erlang("latency", "restart", restarts),
            },
            figures=[Figure(f"T14.restart.{key}", f"crash of a worker until its successor runs, {name}", "µs",
                            ("ours", "restarts"), reported(), ("erlang", "restarts"), percentile=percent, scale=1e-3)
                     for key, name, percent in PERCENTILES],
        ),
        Bench(
            id="T14",
            title=f"{restarts:,} restarts by a declared supervisor",
            sides={
                "ours": lambda: obhut_exec(HERE, "latency:declared", restarts, host="latency:all"),
                "erlang": lambda: erlang("latency", "declared", restarts),
            },
            figures=[Figure(f"T14.declared.{key}", f"crash of a declared child until its successor runs, {name}", "µs",
                            ("ours", "restarts"), reported(), ("erlang", "restarts"), percentile=percent, scale=1e-3)
                     for key, name, percent in PERCENTILES],
        ),
    ]
