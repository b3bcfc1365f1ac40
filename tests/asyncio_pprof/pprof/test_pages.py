from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from unittest import mock

import httpx2
import pytest
from starlette.applications import Starlette

from asyncio_pprof.pprof.pages import Pages
from tests.support.waiting import within


async def test_more_symbols_than_anybody_asks_for_are_refused() -> None:
    app = Starlette(routes=Pages("a program", mock.Mock(), mock.Mock(), None).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as http:
        refused = await http.post("/debug/pprof/symbol", content=b"+".join([b"0x10"] * 20_000))
        answer = await http.post("/debug/pprof/symbol", content=b"+".join([b"0x10"] * 10_000))
    assert (refused.status_code, answer.status_code) == (413, 200)


async def test_symbols_that_are_not_asked_to_the_end_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio_pprof.pprof.pages.BODY_SECONDS", 0.05)

    async def begun() -> AsyncIterator[bytes]:
        yield b"0x10"
        await asyncio.Event().wait()

    app = Starlette(routes=Pages("a program", mock.Mock(), mock.Mock(), None).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as http:
        async with within(10):
            refused = await http.post("/debug/pprof/symbol", content=begun())
        answer = await http.post("/debug/pprof/symbol", content=b"0x10")
    assert refused.status_code == 408
    assert refused.headers["connection"] == "close"
    assert answer.text == "num_symbols: 1\n"
