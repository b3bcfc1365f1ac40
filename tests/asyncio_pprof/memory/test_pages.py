"""The memory pages as an admin listener serves them, to a client over ASGI."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from starlette.applications import Starlette

from asyncio_pprof.memory import Breakdown, MemoryPages, allocators, pages
from asyncio_pprof.memory.layers import LAYERS, SOCKET_BYTES

HTML = {"Accept": "text/html,*/*"}


class Leaked:
    """What the tests make many of."""


@pytest.fixture
def breakdown() -> Breakdown:
    # What other tests left would be freed between two looks.
    gc.collect()
    breakdown = Breakdown()
    breakdown.sockets = lambda: 15_000
    breakdown.begin()
    return breakdown


@pytest.fixture
async def client(breakdown: Breakdown) -> AsyncIterator[httpx2.AsyncClient]:
    served = MemoryPages(
        breakdown,
        lambda: {"2": [("0.1", 3.0), ("+Inf", 4.0)]},
    )
    transport = httpx2.ASGITransport(Starlette(routes=served.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_every_layer_is_in_the_table(client: httpx2.AsyncClient) -> None:
    told = (await client.get("/debug/memory")).json()
    layers = {layer["layer"]: layer for layer in told["layers"]}
    assert list(layers) == [layer.name for layer in LAYERS]
    assert layers["pymalloc_used"]["bytes"] <= layers["pymalloc_held"]["bytes"]
    assert layers["malloc_used"]["bytes"] <= layers["malloc_held"]["bytes"]
    assert layers["kernel_sockets"]["bytes"] == 15_000 * SOCKET_BYTES
    assert layers["resident"]["bytes"] == layers["resident_anonymous"]["bytes"] + layers["resident_files"]["bytes"]
    assert all(layer["read_ms"] >= 0 for layer in told["layers"])
    assert any("15,000 sockets" in line for line in told["why"])
    assert "private_bytes" not in told


async def test_growth_since_the_start_is_told_by_connection(client: httpx2.AsyncClient) -> None:
    kept = [Leaked() for _ in range(300_000)]
    layers = {layer["layer"]: layer for layer in (await client.get("/debug/memory")).json()["layers"]}
    assert layers["pymalloc_used"]["growth_bytes"] > 16 * len(kept)
    assert layers["pymalloc_used"]["per_connection_bytes"] == layers["pymalloc_used"]["growth_bytes"] // 15_000


async def test_a_heap_that_is_traced_is_a_layer(client: httpx2.AsyncClient) -> None:
    tracemalloc.start()
    try:
        kept = bytearray(5_000_000)
        (heap, *_) = (await client.get("/debug/memory")).json()["layers"]
    finally:
        tracemalloc.stop()
    assert heap["layer"] == "heap_traced"
    assert heap["bytes"] >= len(kept)


async def test_the_page_says_it_in_words(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/debug/memory", headers=HTML)).text
    assert "Why is the profile&#x27;s total less than RSS?" in page or "less than RSS" in page
    assert "in arenas" in page
    assert (await client.get("/debug/memory?format=json", headers=HTML)).json()["layers"]
    assert "page tables: <b>" in (await client.get("/debug/memory?smaps=1", headers=HTML)).text
    assert (await client.get("/debug/memory?smaps=1")).json()["private_bytes"] > 0


async def test_giving_memory_back_tells_what_it_did_and_is_rationed(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/debug/freeosmemory")).status_code == 405
    freed = (await client.post("/debug/freeosmemory")).json()
    assert freed["collect_seconds"] > 0
    assert freed["layers"]["resident"]["before_bytes"] > 0
    assert freed["layers"]["resident"]["after_bytes"] > 0
    again = await client.post("/debug/freeosmemory")
    assert again.status_code == 429
    assert 1 <= int(again.headers["retry-after"]) <= pages.PAUSE_SECONDS
    assert again.text == "this request stops the process for a moment: it is answered once in 30 s\n"


async def test_it_does_not_run_in_the_listeners_own_thread(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(allocators, "trim", lambda: threads.append(threading.current_thread()))
    await client.post("/debug/freeosmemory")
    assert threads[0] is not threading.current_thread()


@pytest.mark.usefixtures("_thawed")
async def test_the_collector_freezes_and_thaws(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAUSE_SECONDS", 0.0)
    gc.unfreeze()
    assert (await client.get("/debug/gc/freeze")).status_code == 405
    assert (await client.post("/debug/gc/freeze")).json()["done"] == "freeze"
    told = (await client.get("/debug/gc?count=1&force=1")).json()
    assert told["tracked"]["frozen"] > 1000
    assert told["pause_seconds_buckets"] == {"2": {"0.1": 3.0, "+Inf": 4.0}}
    assert (await client.post("/debug/gc/unfreeze")).status_code == 429
    gc.unfreeze()
    assert (await client.get("/debug/gc?count=1&force=1")).json()["tracked"]["frozen"] == 0


async def test_the_collectors_page(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/debug/gc")).json()["tracked"] is None
    page = (await client.get("/debug/gc", headers=HTML)).text
    assert "≤ 0.1 s" in page
    assert "gc?count=1" in page
    counted = (await client.get("/debug/gc?count=1&force=1", headers=HTML)).text
    assert "frozen" in counted


async def test_objects_are_counted_and_compared_with_the_last_time(client: httpx2.AsyncClient) -> None:
    first = (await client.get("/debug/objects?force=1")).json()
    assert first["since_seconds"] is None
    assert first["types"][0]["delta"] is None
    kept = [Leaked() for _ in range(5000)]
    second = (await client.get("/debug/objects?force=1")).json()
    (leaked,) = (one for one in second["types"] if one["type"].endswith("Leaked"))
    assert leaked["delta"] == leaked["count"] == len(kept)
    assert second["types"][0]["type"].endswith("Leaked")
    assert second["since_seconds"] >= 0
    del kept
    page = (await client.get("/debug/objects?force=1", headers=HTML)).text
    assert "Leaked" in page
    assert "-5,000" in page


async def test_what_would_hold_the_interpreter_for_long_has_to_be_wanted(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LONGEST_HOLD_SECONDS", 0.0)
    refused = await client.get("/debug/objects")
    assert refused.status_code == 409
    assert "force=1" in refused.text
    assert (await client.get("/debug/gc?count=1")).status_code == 409
    assert (await client.get("/debug/objects?force=1")).status_code == 200
