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
    Layer("heap_traced", "Traced heap", "allocations made while a heap profile is on. A heap profile shows only these"),
    Layer("pymalloc_used", "Python objects", "blocks of at most 512 bytes, in which objects are (pymalloc)"),
    Layer(
        "pymalloc_held", "Python arenas", "memory for these blocks. Python frees an arena when all its blocks are free"
    ),
    Layer("malloc_used", "malloc in use", "larger objects, and memory that C libraries allocated"),
    Layer("malloc_held", "malloc arenas", "all memory that malloc holds, with its free blocks"),
    Layer("resident_anonymous", "Resident, anonymous", "pages that belong to no file: all layers above, and stacks"),
    Layer(
        "resident_files", "Resident, of files", "code of the interpreter and of libraries, shared with other processes"
    ),
    Layer("resident", "Resident (RSS)", "the sum of the two layers above. top calls it RES"),
    Layer("kernel_sockets", "Kernel, sockets", "an estimate, 4.5 kB for each socket. In the cgroup, but not in RSS"),
    Layer("cgroup_usage", "Cgroup, charged", "the whole container: processes, kernel memory, file cache"),
    Layer("cgroup_limit", "Cgroup, limit", "above this limit, the kernel kills processes"),
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
            f"The kernel keeps about {text(SOCKET_BYTES)} for each of {connections:,} sockets, "
            f"{text(connections * SOCKET_BYTES)} in total. This memory is in the cgroup, but not in a profile or in "
            f"RSS."
        )
    return [*told, *_of_cgroup(sizes)]


def _of_python(sizes: Mapping[str, int | None]) -> list[str]:
    told = []
    traced, used, held = sizes.get("heap_traced"), sizes.get("pymalloc_used"), sizes.get("pymalloc_held")
    if traced is None:
        told.append("No heap profile is running, so there is no profile total. The other layers do not need one.")
    else:
        told.append(f"The heap profile sees {text(traced)}: only memory that was allocated since the profile began.")
    if used is not None and held is not None:
        told.append(
            f"Python objects take {text(used)} of {text(held)} in arenas. The other {text(held - used)} are free "
            "blocks between them. Python uses these blocks again, and frees an arena only when all its blocks are free."
        )
    return told


def _of_malloc(sizes: Mapping[str, int | None]) -> list[str]:
    used, held = sizes.get("malloc_used"), sizes.get("malloc_held")
    if used is None or held is None:
        return []
    return [
        f"malloc uses {text(used)} of the {text(held)} that it holds. Of the other {text(held - used)}, it returns "
        f"only memory at the end of an arena to the system. POST /debug/freeosmemory returns every free page."
    ]


def _of_resident(sizes: Mapping[str, int | None]) -> list[str]:
    anonymous, files = sizes.get("resident_anonymous"), sizes.get("resident_files")
    if anonymous is None or files is None:
        return []
    known = (sizes.get("pymalloc_held") or 0) + (sizes.get("malloc_held") or 0)
    rest = anonymous - known
    told = [f"{text(files)} of RSS are pages of files (code and libraries). No allocator counts them."]
    if rest >= 0:
        told.append(f"{text(rest)} more belong to no allocator: stacks of threads, data of libraries, mappings.")
    else:
        told.append(f"{text(-rest)} of the arenas are not resident: they were returned, or never used.")
    return told


def _of_cgroup(sizes: Mapping[str, int | None]) -> list[str]:
    usage, limit = sizes.get("cgroup_usage"), sizes.get("cgroup_limit")
    if usage is None:
        return []
    charged = f"The container is charged {text(usage)}, without file cache that the kernel can drop"
    if limit is None:
        return [f"{charged}. The container has no limit."]
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
