"""The memory pages as HTML. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Final

from asyncio_pprof.memory.layers import Row, per_connection, text
from asyncio_pprof.memory.objects import TypeCount

OPTIONAL: Final = frozenset({"heap_traced", "cgroup_limit"})
"""Layers that are not there unless somebody wants them."""

Buckets = Mapping[str, Sequence[tuple[str, float]]]
"""Cumulative counts of pauses by upper bound in seconds, by generation."""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]], kind: str = "numbers") -> str:
    """A table whose first column is a name; the kind says whether the last is of numbers, as the others are."""
    heads = "".join(f"<th scope=col>{html.escape(name)}" for name in head)
    lines = (
        "<tr>"
        + "".join(
            f"<{'th scope=row' if at == 0 else 'td'}>{html.escape('' if cell is None else str(cell))}"
            for at, cell in enumerate(row)
        )
        for row in rows
    )
    return f"<div class=wide tabindex=0><table class={kind}><thead><tr>{heads}<tbody>{''.join(lines)}</table></div>"


def memory_page(
    rows: Sequence[Row], connections: int, told: Sequence[str], exact: int | None, pause_seconds: float
) -> str:
    """All layers, and in words what is between them."""

    def size(value: int | None) -> str:
        return "not known" if value is None else text(value)

    lines = []
    for row in rows:
        each = per_connection(row, connections)
        lines.append(
            (
                row.layer.title,
                "none" if row.layer.name in OPTIONAL and row.size is None else size(row.size),
                "" if row.growth is None else f"{'+' if row.growth >= 0 else ''}{text(row.growth)}",
                "" if each is None else f"{each:,} B",
                f"{row.read_seconds * 1000:.2f} ms",
                row.layer.what,
            )
        )
    head = ("Layer", "Now", "Since the start", "Per connection", "Read in", "What it is")
    words = "".join(f"<li>{html.escape(line)}" for line in told)
    private = "" if exact is None else f"<p>Memory private to this process, by its page tables: <b>{text(exact)}</b>."
    counted = f"<p>{connections:,} connections. " if connections else ""
    return (
        f"{counted}{_table(head, lines, 'words-last')}{private}"
        f"<h2>Why is the profile's total less than RSS?</h2><ul class=words>{words}</ul>"
        "<h2>More</h2><ul>"
        '<li><a href="memory?smaps=1">Memory private to this process</a>: reads the page tables, which takes '
        "100 ms or more for a large process."
        '<li><a href="memory?format=json">This page as JSON</a>'
        '<li><a href="gc">Garbage collector</a><li><a href="objects">Objects by type</a>'
        f"<li>Return free memory to the system, at most once in {pause_seconds:.0f} s: "
        "<code>curl -X POST -H 'X-Requested-With: curl' .../debug/freeosmemory</code></ul>"
    )


def gc_page(
    state: Mapping[str, object], pauses: Buckets, counted: Mapping[str, int] | None, listing_seconds: float
) -> str:
    """How the collector is set, how long it stopped the process, and how that is changed."""
    facts = _table(("Collector", "Now"), list(state.items()))
    bounds = [bound for bound, _ in next(iter(pauses.values()), ())]
    by_bound = {generation: dict(buckets) for generation, buckets in pauses.items()}
    lines = [[f"≤ {bound} s", *(f"{by_bound[one][bound]:,.0f}" for one in by_bound)] for bound in bounds]
    shown = _table(("Pause", *(f"generation {one}" for one in by_bound)), lines)
    if counted is None:
        count = (
            f'<p><a href="gc?count=1">Count the tracked objects</a>: this stops the process for at most '
            f"{listing_seconds:.3f} s."
        )
    else:
        count = _table(("Tracked objects", ""), [(name, f"{number:,}") for name, number in counted.items()])
    return (
        f"{facts}<h2>Pauses, cumulative</h2>{shown}<h2>Tracked objects</h2>{count}"
        "<h2>Freeze objects</h2><ul><li><code>curl -X POST -H 'X-Requested-With: curl' .../debug/gc/freeze</code>: "
        "collect once, then skip all remaining objects in later collections. Cycles among them are never freed."
        "<li><code>.../debug/gc/unfreeze</code>: the next full collection visits all objects again.</ul>"
    )


def objects_page(found: Sequence[TypeCount], total: int, seconds: float, since: float | None) -> str:
    """The types that there are most of, or that changed most."""
    lines = [(one.name, f"{one.number:,}", "" if one.delta is None else f"{one.delta:+,}") for one in found]
    changed = "Reload this page to see changes." if since is None else f"Changes since {since} s ago."
    return (
        f"<p>The garbage collector tracks {total:,} objects, counted in {seconds * 1000:.1f} ms. {changed} The count "
        "leaves out frozen objects, and objects that cannot be part of a cycle (text, bytes, numbers)."
        f"{_table(('Type', 'Objects', 'Change'), lines)}"
    )
