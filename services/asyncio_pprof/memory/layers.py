"""The layers of a process's memory, and in words why no two of them are the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

SOCKET_BYTES: Final = 4_100 + 400
"""Kernel memory of a parked TCP endpoint: its slab objects and its epoll item, measured on Linux 6."""
FEW: Final = 1_000
"""With fewer connections, growth by connection says nothing."""


class Layer(NamedTuple):
    """One row: its name in JSON and metrics, and what an operator has to know of it."""

    name: str
    title: str
    what: str


LAYERS: Final = (
    Layer("heap_traced", "Traced heap", "what a heap profile can show: allocations seen while tracing is on"),
    Layer("pymalloc_used", "Python objects", "blocks of at most 512 bytes that objects are in (pymalloc)"),
    Layer(
        "pymalloc_held", "Python arenas", "what those blocks are cut from; an arena goes back when all of it is free"
    ),
    Layer("malloc_used", "malloc in use", "larger objects, and what C libraries allocated"),
    Layer("malloc_held", "malloc arenas", "what malloc holds for that, free blocks included"),
    Layer("resident_anonymous", "Resident, anonymous", "pages with no file behind them: all of the above, and stacks"),
    Layer(
        "resident_files", "Resident, of files", "code of the interpreter and of libraries, shared with other processes"
    ),
    Layer("resident", "Resident (RSS)", "what top calls RES: the sum of the two"),
    Layer("kernel_sockets", "Kernel, sockets", "estimated by number, 4.5 kB each; outside RSS, inside the cgroup"),
    Layer("cgroup_usage", "Cgroup, charged", "all of the container: processes, kernel memory, file cache"),
    Layer("cgroup_limit", "Cgroup, limit", "where the kernel begins to kill"),
)


class Row(NamedTuple):
    """A layer as it was read; `growth` since the start in bytes, None where it is not known."""

    layer: Layer
    size: int | None
    growth: int | None
    read_seconds: float


def per_connection(row: Row, connections: int) -> int | None:
    """Bytes by which the layer has grown for each connection, where that means anything."""
    if row.growth is None or connections < FEW or row.layer.name.startswith("cgroup"):
        return None
    return row.growth // connections


def text(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


def why(sizes: Mapping[str, int | None], connections: int) -> list[str]:
    """Why the total of a heap profile is less than RSS, and RSS less than what the container is charged."""
    told = [*_of_python(sizes), *_of_malloc(sizes), *_of_resident(sizes)]
    if connections:
        told.append(
            f"Outside RSS the kernel keeps about {text(SOCKET_BYTES)} for each of {connections:,} sockets, "
            f"{text(connections * SOCKET_BYTES)} in all. No profile and no RSS shows it; the cgroup is charged for it."
        )
    return [*told, *_of_cgroup(sizes)]


def _of_python(sizes: Mapping[str, int | None]) -> list[str]:
    told = []
    traced, used, held = sizes.get("heap_traced"), sizes.get("pymalloc_used"), sizes.get("pymalloc_held")
    if traced is None:
        told.append("No heap profile is running, so that no total of one can be compared; the other layers need none.")
    else:
        told.append(f"The heap profile sees {text(traced)}: only what was allocated since tracing began.")
    if used is not None and held is not None:
        told.append(
            f"Python objects take {text(used)} of {text(held)} in arenas. The other {text(held - used)} are free "
            "blocks between them: Python uses them again, and gives an arena back only when nothing in it is left."
        )
    return told


def _of_malloc(sizes: Mapping[str, int | None]) -> list[str]:
    used, held = sizes.get("malloc_used"), sizes.get("malloc_held")
    if used is None or held is None:
        return []
    return [
        f"Beside them malloc has {text(used)} in use of {text(held)}. Of the other {text(held - used)} it gives "
        "back by itself only what is at an end; POST /debug/freeosmemory has it give back every page that is free."
    ]


def _of_resident(sizes: Mapping[str, int | None]) -> list[str]:
    anonymous, files = sizes.get("resident_anonymous"), sizes.get("resident_files")
    if anonymous is None or files is None:
        return []
    known = (sizes.get("pymalloc_held") or 0) + (sizes.get("malloc_held") or 0)
    rest = anonymous - known
    told = [f"Of RSS, {text(files)} are pages of files (code and libraries), which no allocator knows."]
    if rest >= 0:
        told.append(f"{text(rest)} more belong to no allocator: stacks of threads, data of libraries, mappings.")
    else:
        told.append(f"{text(-rest)} of the arenas are not resident: they were given back, or never touched.")
    return told


def _of_cgroup(sizes: Mapping[str, int | None]) -> list[str]:
    usage, limit = sizes.get("cgroup_usage"), sizes.get("cgroup_limit")
    if usage is None:
        return []
    charged = f"The container is charged {text(usage)}, file cache that can be dropped left out"
    if limit is None:
        return [f"{charged}; no limit is set."]
    return [f"{charged}: {usage / limit:.0%} of its limit of {text(limit)}."]


def table(rows: Sequence[Row], connections: int) -> list[dict[str, object]]:
    """The rows as JSON has them."""
    return [
        {
            "layer": row.layer.name,
            "bytes": row.size,
            "growth_bytes": row.growth,
            "per_connection_bytes": per_connection(row, connections),
            "read_ms": round(row.read_seconds * 1000, 3),
            "what": row.layer.what,
        }
        for row in rows
    ]
