"""Asking the admin ports of processes, all at once, each under a deadline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

import httpx2

from asyncio_pprof.access import CHANGE_HEADER
from tidings.oncall.answers import Answer
from tidings.ops.http.reason import detail, reason

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024


class Processes:
    """The processes at these URLs, by name. One that there is no way to has its answer in place of a URL."""

    def __init__(self, urls: Mapping[str, str | Answer], token: str | None, timeout_seconds: float) -> None:
        self._urls = urls
        self._timeout = timeout_seconds
        headers = {CHANGE_HEADER: "tidings"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx2.AsyncClient(headers=headers, timeout=timeout_seconds, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._http.aclose()

    async def ask(self, path: str, member: str, *, method: str = "GET") -> list[Answer]:
        """What each says to a request for this path, in the order of the processes.

        A document without `member` is of some other program: Go's have one at /debug/vars, too.
        """
        return await asyncio.gather(*(self._ask(name, url, method, path, member) for name, url in self._urls.items()))

    async def _ask(self, name: str, url: str | Answer, method: str, path: str, member: str) -> Answer:
        if isinstance(url, Answer):
            return url
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._http.stream(method, f"{url.rstrip('/')}{path}") as response,
            ):
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        return Answer(name, fault=f"answers with more than {MAX_ANSWER_BYTES} bytes")
        except (TimeoutError, httpx2.HTTPError, OSError) as error:
            return Answer(name, fault=f"does not answer: {reason(error)}")
        if response.status_code != httpx2.codes.OK:
            return Answer(name, fault=_refusal(response.status_code, bytes(body)))
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or member not in document:
            return Answer(name, fault="does not answer as a process of Tidings: is this an admin port?")
        return Answer(name, document)


def _refusal(status: int, body: bytes) -> str:
    hint = {401: "; set TIDINGS_ADMIN_TOKEN", 404: "; is this the admin port of a gateway?"}.get(status, "")
    return f"answers {status}: {detail(body)}{hint}"
