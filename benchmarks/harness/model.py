"""Benches, figures, and how a figure is made of what the rounds gave."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

# What one side measured in one round: numbers, or samples (latencies) that are pooled over the rounds.
Measured = dict[str, float | list[float]]
# Per side, what each round gave.
Results = dict[str, list[Measured]]


class BenchError(Exception):
    """A benchmark that did not do its work, or whose counts do not add up."""


@dataclass(frozen=True)
class Options:
    """What the user asked for."""

    rounds: int = 5
    full: bool = False
    quick: bool = False

    def count(self, normal: int, full: int | None = None) -> int:
        """How much to do: a tenth of the normal amount in a quick run."""
        if self.quick:
            return max(normal // 10, 1)
        return full if self.full and full is not None else normal


@dataclass(frozen=True)
class Target:
    """A bound on the ratio to the peer, or on our own figure; or none (`bound` NaN)."""

    text: str
    subject: Literal["ratio", "ours"] = "ours"
    most: bool = True
    bound: float = math.nan

    def met(self, ours: float, ratio: float | None) -> bool | None:
        value = ratio if self.subject == "ratio" else ours
        if value is None or math.isnan(self.bound):
            return None
        return value <= self.bound if self.most else value >= self.bound


def ratio_at_most(bound: float, text: str | None = None) -> Target:
    return Target(text or f"ratio ≤ {bound:g}", "ratio", True, bound)


def at_most(bound: float, text: str) -> Target:
    return Target(text, "ours", True, bound)


def at_least(bound: float, text: str) -> Target:
    return Target(text, "ours", False, bound)


def reported() -> Target:
    """For a figure that is only to be shown beside the peer's."""
    return Target("reported")


@dataclass(frozen=True)
class Row:
    """A line of the report."""

    id: str
    what: str
    unit: str
    ours: float
    ours_spread: tuple[float, float]
    target: str
    met: bool | None
    peer_name: str = ""
    peer: float | None = None
    peer_spread: tuple[float, float] | None = None
    ratio: float | None = None
    ratio_spread: tuple[float, float] | None = None


def _percentile(samples: list[float], percent: float) -> float:
    """The smallest sample that `percent` of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


@dataclass(frozen=True)
class Figure:
    """How a line of the report is made.

    `ours` and `peer` are (side, key). A number's figure is the median of the rounds, and the ratio the median of each
    round's own ratio, because what two neighbouring runs share falls out of it. With a `percentile` the values are
    samples, which are pooled: a high percentile needs more of them than one round has.
    """

    id: str
    what: str
    unit: str
    ours: tuple[str, str]
    target: Target
    peer: tuple[str, str] | None = None
    peer_name: str = "Erlang"
    percentile: float | None = None
    scale: float = 1.0

    def _values(self, results: Results, source: tuple[str, str]) -> tuple[float, list[float]]:
        """The figure, and that of each round."""
        side, key = source
        rounds: list[float] = []
        pooled: list[float] = []
        for measured in results[side]:
            value = measured.get(key)
            if value is None:
                raise BenchError(f"{self.id}: {side} measured no '{key}'")
            if isinstance(value, list):
                if self.percentile is None or not value:
                    raise BenchError(f"{self.id}: {side} measured {len(value)} samples of '{key}'")
                pooled += [sample * self.scale for sample in value]
                rounds.append(_percentile(value, self.percentile) * self.scale)
            else:
                rounds.append(value * self.scale)
        if pooled and self.percentile is not None:
            return _percentile(pooled, self.percentile), rounds
        return statistics.median(rounds), rounds

    def row(self, results: Results) -> Row:
        ours, our_rounds = self._values(results, self.ours)
        row = {
            "id": self.id, "what": self.what, "unit": self.unit, "target": self.target.text,
            "ours": ours, "ours_spread": (min(our_rounds), max(our_rounds)),
        }
        ratio: float | None = None
        if self.peer is not None:
            peer, peer_rounds = self._values(results, self.peer)
            ratios = [a / b for a, b in zip(our_rounds, peer_rounds) if b > 0]
            row |= {"peer_name": self.peer_name, "peer": peer, "peer_spread": (min(peer_rounds), max(peer_rounds))}
            if ratios and peer > 0:
                ratio = ours / peer if self.percentile is not None else statistics.median(ratios)
                row |= {"ratio": ratio, "ratio_spread": (min(ratios), max(ratios))}
        return Row(**row, met=self.target.met(ours, ratio))


@dataclass(frozen=True)
class Panel:
    """One picture of the plot: a measurement, by its key."""

    id: str
    title: str
    y: str
    key: str
    scale: float = 1.0


@dataclass(frozen=True)
class Curve:
    """Cost against size, for the plot: each side does the work of a size and answers what it measured."""

    x: str
    sizes: list[int]
    sides: dict[str, Callable[[int], Measured]]
    panels: list[Panel]


@dataclass(frozen=True)
class Bench:
    """One piece of work, the sides that do it and the lines it gives."""

    id: str
    title: str
    sides: dict[str, Callable[[], Measured]]
    figures: list[Figure]
    # For those whose figures hardly vary, or whose rounds are long.
    most_rounds: int | None = None
    # Looks at what all rounds gave; raises BenchError.
    check: Callable[[Results], None] | None = field(default=None)
