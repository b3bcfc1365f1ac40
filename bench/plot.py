"""What was measured as pictures: the comparison for the README, latencies by rate for the decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.compare import Comparison
from bench.latency import milliseconds
from bench.rates import Step
from bench.trial import Result

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
PATH: Final = IMAGES / "comparison.svg"
RATES_PATH: Final = IMAGES / "rates.svg"
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
        figure = Figure(figsize=(10, 1.2 + 0.5 * len(names)), layout="constrained")
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


def save_rates(steps: Sequence[Step]) -> Path:
    """Draw latencies by rate to docs/images/."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "tidings",
            "text.color": _TEXT,
            "axes.edgecolor": _TEXT,
            "axes.labelcolor": _TEXT,
            "xtick.color": _TEXT,
            "ytick.color": _TEXT,
        }
    ):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        axes = figure.add_subplot()
        rates = [step.rate for step in steps]
        for share, name, line in ((0.5, "p50", "-"), (0.99, "p99", "--"), (0.999, "p99.9", ":")):
            late = [milliseconds(step.seconds, share) for step in steps]
            axes.plot(rates, late, line, marker="o", markersize=4, color=_OURS, label=name)
        axes.set(
            xscale="log", yscale="log", xlabel="changes a second, distinct accounts", ylabel="ms from change to client"
        )
        axes.set_xticks(rates, [f"{rate:,}" for rate in rates])
        axes.minorticks_off()
        axes.grid(color=_TEXT, alpha=0.2)
        axes.legend(frameon=False)
        figure.savefig(RATES_PATH, transparent=True, metadata={"Date": None})
    return RATES_PATH
