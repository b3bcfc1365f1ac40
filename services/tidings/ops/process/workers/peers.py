"""The workers as the admin process asks them: HTTP over a Unix socket each, under a deadline."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Final

import httpx2
from starlette.types import ASGIApp

from asyncio_pprof.access import CHANGE_HEADER
from tidings.ops.process.workers.board import Board

ANSWER_SECONDS: Final = 1.0
BASE_URL: Final = "http://localhost"
IDLE_SECONDS: Final = 2.0
"""Less than a worker's listener keeps an idle connection: a question that meets the closing of one is lost."""


class Peers:
    """HTTP clients of all workers, by number. `unanswered` counts questions without an answer in time."""

    def __init__(self, board: Board, addresses: Mapping[int, str]) -> None:
        self._board = board
        # The transport wants a context for TLS, though a Unix socket has none; making one that trusts is slow.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)
        self._clients = {
            number: httpx2.AsyncClient(
                transport=httpx2.AsyncHTTPTransport(uds=address, verify=context, limits=limits),
                base_url=BASE_URL,
                # The question that the admin process was asked had it.
                headers={CHANGE_HEADER: "admin process"},
                timeout=None,
                trust_env=False,
            )
            for number, address in addresses.items()
        }
        self.unanswered = dict.fromkeys(addresses, 0)

    def client(self, number: int) -> httpx2.AsyncClient:
        """The client of one worker, whose every use has to have a deadline. Raises KeyError for an unknown one."""
        return self._clients[number]

    async def ask_all(
        self, path: str, method: str = "GET", work_seconds: float = 0.0
    ) -> dict[int, tuple[int, httpx2.Response]]:
        """Ask every worker that runs, at the same time; their process ids and answers, by number.

        Whoever has not answered within ANSWER_SECONDS, and the seconds that its work may take, is left out.
        """
        running = [number for number, seat in self._board.workers.items() if seat.pid]
        seconds = ANSWER_SECONDS + work_seconds
        answers = await asyncio.gather(*(self._ask(number, path, method, seconds) for number in running))
        return {number: answer for number, answer in zip(running, answers, strict=True) if answer is not None}

    async def _ask(self, number: int, path: str, method: str, seconds: float) -> tuple[int, httpx2.Response] | None:
        seat = self._board.workers[number]
        pid = seat.pid
        try:
            async with asyncio.timeout(seconds):
                response = await self._clients[number].request(method, path)
        except (TimeoutError, httpx2.HTTPError):
            response = None
        # A successor may have answered what its predecessor was asked.
        if response is None or seat.pid != pid:
            self.unanswered[number] += 1
            return None
        return pid, response

    async def close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))


Joined = Mapping[str, Callable[[Peers], ASGIApp]]
"""Pages that answer for all workers, by path: each asks them."""
