from __future__ import annotations

import pytest

from asyncio_pprof.memory.layers import FEW, LAYERS, SOCKET_BYTES, Row, per_connection, table, text, why

MIB = 1024 * 1024
SIZES: dict[str, int | None] = {
    "heap_traced": 10 * MIB,
    "pymalloc_used": 22 * MIB,
    "pymalloc_held": 199 * MIB,
    "malloc_used": 30 * MIB,
    "malloc_held": 50 * MIB,
    "resident_anonymous": 260 * MIB,
    "resident_files": 20 * MIB,
    "resident": 280 * MIB,
    "kernel_sockets": 1000 * SOCKET_BYTES,
    "cgroup_usage": 300 * MIB,
    "cgroup_limit": 600 * MIB,
}


def row(name: str, size: int | None, growth: int | None = None) -> Row:
    (layer,) = (layer for layer in LAYERS if layer.name == name)
    return Row(layer, size, growth, 0.0005)


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 B"), (512, "512 B"), (2048, "2.0 KiB"), (-3 * MIB, "-3.0 MiB"), (5 * 1024 * MIB, "5.00 GiB")],
)
def test_sizes_have_units(size: int, told: str) -> None:
    assert text(size) == told


def test_every_difference_is_explained_with_its_own_number() -> None:
    told = "\n".join(why(SIZES, 1000))
    assert "sees 10.0 MiB" in told
    assert "22.0 MiB of 199.0 MiB in arenas. The other 177.0 MiB" in told
    assert "30.0 MiB of the 50.0 MiB that it holds. Of the other 20.0 MiB" in told
    assert "11.0 MiB more belong to no allocator" in told
    assert "1,000 sockets, 4.3 MiB in total" in told
    assert "50% of its limit of 600.0 MiB" in told


def test_arenas_that_are_not_resident_are_said_to_be_so() -> None:
    told = "\n".join(why({**SIZES, "resident_anonymous": 200 * MIB}, 0))
    assert "49.0 MiB of the arenas are not resident" in told
    assert "sockets" not in told


def test_what_is_not_known_is_left_out() -> None:
    told = why({**SIZES, "heap_traced": None, "cgroup_limit": None}, 0)
    assert told[0].startswith("No heap profile is running")
    assert told[-1].endswith("The container has no limit.")
    nothing: dict[str, int | None] = dict.fromkeys(SIZES)
    assert len(why(nothing, 0)) == 1


def test_growth_is_divided_among_connections_when_there_are_enough() -> None:
    assert per_connection(row("resident", 2000, 1000 * FEW), FEW) == 1000
    assert per_connection(row("resident", 2000, 1000), FEW - 1) is None
    assert per_connection(row("resident", 2000), FEW) is None
    assert per_connection(row("cgroup_usage", 2000, 1000), FEW) is None


def test_a_row_of_the_table() -> None:
    assert table([row("resident", 2000, 512 * FEW)], FEW) == [
        {
            "layer": "resident",
            "bytes": 2000,
            "growth_bytes": 512 * FEW,
            "per_connection_bytes": 512,
            "read_ms": 0.5,
            "what": "the sum of the two layers above. top calls it RES",
        }
    ]
