"""Finds the benchmarks and runs the sides of each in turns."""
from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .model import Bench, BenchError, Curve, Measured, Options, Results, Row
from .sides import BENCHMARKS


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"bench_{name}", BENCHMARKS / name / "bench.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    # Dataclasses and type hints look their module up by its name.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def find(options: Options) -> tuple[list[Bench], list[Curve]]:
    """Every benchmark and every curve there is, in the order of the folders' names."""
    benches: list[Bench] = []
    curves: list[Curve] = []
    for path in sorted(BENCHMARKS.glob("*/bench.py")):
        module = _load(path.parent.name)
        benches += module.benches(options)
        if hasattr(module, "curves"):
            curves += module.curves(options)
    return benches, curves


@dataclass
class Outcome:
    rows: list[Row] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run_bench(bench: Bench, options: Options) -> list[Row]:
    rounds = min(options.rounds, bench.most_rounds or options.rounds)
    results: Results = {side: [] for side in bench.sides}
    start = time.monotonic()
    for number in range(rounds):
        # Every other round backwards, so that no side always comes first after a pause.
        sides = list(bench.sides.items())
        for side, work in sides if number % 2 == 0 else reversed(sides):
            progress(f"  {bench.id:<4} {bench.title}: round {number + 1} of {rounds}, {side}")
            results[side].append(work())
    if bench.check:
        bench.check(results)
    rows = [figure.row(results) for figure in bench.figures]
    progress(f"  {bench.id:<4} done in {time.monotonic() - start:.1f} s")
    return rows


def run_curve(curve: Curve, rounds: int) -> dict[str, Any]:
    """Per panel the median of the rounds for each size, the sides in turns. A size that did not fit has none."""
    panels: dict[str, Any] = {
        panel.id: {"title": panel.title, "x": curve.x, "y": panel.y, "sizes": curve.sizes,
                   "costs": {side: [] for side in curve.sides}} for panel in curve.panels}
    for size in curve.sizes:
        progress(f"  curves: {size:,} {curve.x}")
        taken: dict[str, list[Measured]] = {side: [] for side in curve.sides}
        for _ in range(rounds):
            for side, work in curve.sides.items():
                taken[side].append(work(size))
        for panel in curve.panels:
            for side, measured in taken.items():
                costs = [each[panel.key] * panel.scale for each in measured if panel.key in each]
                panels[panel.id]["costs"][side].append(statistics.median(costs) if costs else None)
    return panels


def run(benches: list[Bench], curves: list[Curve], options: Options) -> Outcome:
    """Runs all; one that fails is noted, and the others still run."""
    outcome = Outcome()
    for bench in benches:
        try:
            outcome.rows += run_bench(bench, options)
        except BenchError as error:
            progress(f"  {bench.id} FAILED: {error}")
            outcome.failures.append(f"{bench.id}, {bench.title}: {error}")
    for curve in curves:
        try:
            outcome.curves |= run_curve(curve, min(options.rounds, 3))
        except BenchError as error:
            progress(f"  curves FAILED: {error}")
            outcome.failures.append(f"curves, {curve.x}: {error}")
    return outcome
