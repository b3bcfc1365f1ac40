"""Tables of plain text: columns that are as wide as their widest cell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tidings.ops.printable import plain

GAP: Final = "  "


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lines of a table, each with its end. None is an empty cell; what is not printable is shown escaped."""
    cells = [list(heads), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def seconds(value: float | None) -> str | None:
    """A time span in seconds, short: 0.012 s, 3.4 s, 120 s."""
    if value is None:
        return None
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{value:.3f} s"


def _cell(value: object) -> str:
    return "" if value is None else plain(str(value))
