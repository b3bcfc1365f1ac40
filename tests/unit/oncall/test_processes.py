from __future__ import annotations

import asyncio

import pytest

from tidings.oncall.processes import Processes

FOREIGN = "does not answer as a process of Tidings: is this an admin port?"


async def fault(status: int, body: bytes) -> str:
    """What is said of a process that answers so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        urls = {"it": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}
        async with Processes(urls, None, 60.0) as processes:
            (answer,) = await processes.ask("/debug/vars", "metrics")
    return answer.fault


@pytest.mark.parametrize("body", [b'{"cmdline": [], "memstats": {}}', b"[]", b"<html>", b"[" * 100_000])
async def test_what_another_program_answers_is_no_document(body: bytes) -> None:
    assert await fault(200, body) == FOREIGN


async def test_who_refuses_moves_no_cursor() -> None:
    assert await fault(403, b"no\x1b[2J\n") == r"answers 403: no\x1b[2J"
    assert await fault(401, b'{"detail": "a token"}') == "answers 401: a token; set TIDINGS_ADMIN_TOKEN"


async def test_a_document_of_ours_is_taken() -> None:
    assert await fault(200, b'{"metrics": {}}') == ""
