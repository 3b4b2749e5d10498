"""Draws the curves of results/curves.json. Needs matplotlib, Debian's python3-matplotlib."""
from __future__ import annotations

import json

from .report import CURVES
from .sides import ROOT

PICTURE = ROOT / "docs" / "images" / "cost.svg"
COLOURS = {"Obhut": "#b3541e", "Erlang": "#6b7a8f"}


def draw() -> None:
    import matplotlib
    matplotlib.use("svg")
    # The same figures give the same file, and text stays text.
    matplotlib.rcParams |= {"svg.hashsalt": "obhut", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot, ticker

    curves = list(json.loads(CURVES.read_text()).values())
    across = 2
    down = -(-len(curves) // across)
    figure, axes = pyplot.subplots(down, across, figsize=(5 * across, 3.4 * down), squeeze=False)
    for panel in list(axes.flat)[len(curves):]:
        panel.set_visible(False)
    for panel, curve in zip(axes.flat, curves):
        for side, costs in curve["costs"].items():
            points = [(size, cost) for size, cost in zip(curve["sizes"], costs) if cost is not None]
            panel.plot(*zip(*points), marker="o", markersize=3, label=side, color=COLOURS.get(side))
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}" if f"{value:e}"[0] in "25" else ""))
        panel.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        # Marks between the powers of ten would be most of the file.
        panel.xaxis.set_minor_locator(ticker.NullLocator())
        panel.set_title(curve["title"])
        panel.set_xlabel(curve["x"])
        panel.set_ylabel(curve["y"])
        panel.grid(True, which="major", linewidth=0.4, alpha=0.6)
        panel.legend(frameon=False)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, format="svg", metadata={"Date": None, "Creator": None})
