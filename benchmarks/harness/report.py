"""The table, results/latest.json, and what stands between the markers in docs/performance.md."""
from __future__ import annotations

import json
import math
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .model import Row
from .sides import BENCHMARKS, ROOT

RESULTS = BENCHMARKS / "results"
LATEST = RESULTS / "latest.json"
MACHINE = RESULTS / "machine.json"
CURVES = RESULTS / "curves.json"
PAGE = ROOT / "docs" / "performance.md"

Table = list[dict[str, Any]]


def to_table(rows: list[Row]) -> Table:
    """The rows as they are written: three digits too many are no use and make every report differ."""
    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.5g}")
        if isinstance(value, (tuple, list)):
            return [short(each) for each in value]
        return value
    return [{key: short(value) for key, value in asdict(row).items()} for row in rows]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def committed() -> Table:
    """The last committed report; empty if there is none."""
    shown = subprocess.run(["git", "show", f"HEAD:{LATEST.relative_to(ROOT)}"], capture_output=True, text=True,
                           cwd=ROOT, check=False)
    return json.loads(shown.stdout) if shown.returncode == 0 else []


def number(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{min(digits, 3)}f}"


def spread(value: float | None, ends: list[float] | None) -> str:
    """A figure with the least and the greatest of its rounds."""
    if value is None:
        return "–"
    if not ends or ends[0] == ends[1]:
        return number(value)
    return f"{number(value)} ({number(ends[0])}–{number(ends[1])})"


def met(row: dict[str, Any]) -> str:
    return {True: "yes", False: "no", None: "–"}[row["met"]]


def change(row: dict[str, Any], before: dict[str, dict[str, Any]]) -> str:
    """How the ratio to the peer, or without a peer the figure, differs from the committed one."""
    old = before.get(row["id"])
    if old is None:
        return "new"
    key = "ratio" if row["ratio"] is not None and old.get("ratio") is not None else "ours"
    if not old.get(key) or row[key] is None:
        return "–"
    percent = (row[key] / old[key] - 1) * 100
    text = f"{percent:+.0f} %"
    return f"{text}, {'now' if row['met'] else 'no longer'} met" if row["met"] != old["met"] else text


def columns(row: dict[str, Any]) -> list[str]:
    peer = f"{spread(row['peer'], row['peer_spread'])} {row['peer_name']}" if row["peer"] is not None else "–"
    return [row["id"], row["what"], row["unit"], spread(row["ours"], row["ours_spread"]), peer,
            spread(row["ratio"], row["ratio_spread"]), row["target"], met(row)]


HEADINGS = ["", "what", "unit", "ours", "peer", "ratio", "target", "met"]


def as_text(table: Table, before: Table) -> str:
    old = {row["id"]: row for row in before}
    lines = [[*HEADINGS, "change of the ratio"], *([*columns(row), change(row, old)] for row in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    counted = [row for row in table if row["met"] is not None]
    reached = sum(row["met"] for row in counted)
    return "\n".join([*text, "", f"{reached} of {len(counted)} met. In parentheses the least and the greatest of the rounds."])


def as_markdown(table: Table) -> str:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(columns(row) for row in table)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine_as_markdown(machine: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in machine.items())])


def update_page() -> None:
    """Writes what the results say into docs/performance.md; nothing there is written by hand."""
    table = json.loads(LATEST.read_text())
    machine = json.loads(MACHINE.read_text())
    page = PAGE.read_text()
    for name, text in (("figures", as_markdown(table)), ("machine", machine_as_markdown(machine))):
        begin, end = f"<!-- {name}: written by make bench -->", f"<!-- end of {name} -->"
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{PAGE}: the markers '{begin}' and '{end}' are gone")
        page = f"{head}{begin}\n{text}\n{end}{tail}"
    PAGE.write_text(page)
