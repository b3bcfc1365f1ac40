"""The comparison as a picture for the README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.compare import Comparison
from bench.trial import Result

PATH: Final = Path(__file__).parent.parent / "docs" / "images" / "comparison.svg"
_TEXT: Final = "#7d8590"
"""Reads on white and on black, as do the bars."""
_OURS: Final = "#2f81f7"
_THEIRS: Final = "#8b949e"
_PANELS: Final[tuple[tuple[str, Callable[[Result], float]], ...]] = (
    ("bytes per idle connection (less is better)", lambda result: result.memory),
    ("upgrades/s", lambda result: result.upgrades.per_core),
    ("pushes/s, one account", lambda result: result.one.per_core),
    ("pushes/s, distinct accounts", lambda result: result.distinct.per_core),
)


def save(comparison: Comparison) -> Path:
    """Draw it to docs/images/."""
    # Here and not above: every process that the bench spawns would import it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    measured = {name: result for name, result in comparison.results.items() if isinstance(result, Result)}
    names = list(measured)[::-1]
    colors = [_OURS if name.startswith("Tidings") else _THEIRS for name in names]
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tidings", "text.color": _TEXT, "ytick.color": _TEXT}):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        for place, (title, value) in enumerate(_PANELS):
            axes = figure.add_subplot(2, 2, place + 1)
            values = [value(measured[name]) for name in names]
            bars = axes.barh(names, values, color=colors, height=0.6)
            axes.bar_label(bars, [f"{each:,.0f}" for each in values], padding=4, fontsize=9)
            axes.set_title(title, fontsize=10, loc="left")
            axes.set_xlim(right=max(values) * 1.25)
            axes.xaxis.set_visible(False)
            axes.yaxis.set_tick_params(length=0, labelsize=9, labelleft=place % 2 == 0)
            axes.spines[:].set_visible(False)
        figure.savefig(PATH, transparent=True, metadata={"Date": None})
    return PATH
