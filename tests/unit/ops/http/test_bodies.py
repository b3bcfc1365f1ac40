from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.types import Message

from tests.support.waiting import within
from tidings.ops.http.bodies import read_body


class TooLongError(Exception):
    """What a caller has raised for a body that is."""


class RefusedError(Exception):
    """What a caller has raised."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


async def read(chunks: Sequence[bytes], most: int, **headers: str) -> tuple[bytes | None, int]:
    """The body, or None for one that is too long, and how many chunks were read of it."""
    count = 0

    async def receive() -> Message:
        nonlocal count
        count += 1
        return {"type": "http.request", "body": chunks[count - 1], "more_body": count < len(chunks)}

    def refusal(status: int, detail: str) -> Exception:
        return TooLongError() if status == 413 else AssertionError(detail)

    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "POST", "headers": fields}, receive)
    try:
        return await read_body(request, most, refusal), count
    except TooLongError:
        return None, count


@pytest.mark.parametrize("chunks", [[b""], [b"1234"], [b"12", b"", b"34"]])
async def test_a_body_may_be_as_long_as_that(chunks: list[bytes]) -> None:
    assert await read(chunks, 4, content_length="4") == (b"".join(chunks), len(chunks))


async def test_one_that_says_it_is_longer_is_not_read() -> None:
    assert await read([b"12345"], 4, content_length="5") == (None, 0)


@pytest.mark.parametrize("length", ["", "4", "-1", "many"])
async def test_one_that_is_longer_than_it_says_is_read_to_the_bound(length: str) -> None:
    assert await read([b"123", b"45", b"67"], 4, content_length=length) == (None, 2)


async def test_one_that_does_not_come_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    async with within(5):
        with pytest.raises(RefusedError, match=r"did not arrive within 0\.05 s") as caught:
            await read_body(request, 4, RefusedError, 0.05)
    assert caught.value.status == 408
