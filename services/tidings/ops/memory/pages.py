"""The pages of the memory account, for an admin listener: GET shows, POST changes something and is rationed."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tidings.ops.memory import collecting, procfs
from tidings.ops.memory.account import MemoryAccount
from tidings.ops.memory.layers import table, why
from tidings.ops.memory.views import Buckets, gc_page, memory_page, objects_page
from tidings.ops.page import document, wants_json
from tidings.ops.problems import problem_response

PAUSE_SECONDS: Final = 30.0
"""Between two of what stops the process."""
LONGEST_HOLD_SECONDS: Final = 0.1
"""Counting that may hold the GIL for longer has to be asked for."""

T = TypeVar("T")


class _Ration:
    """One at a time, and then a pause."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._free_at = 0.0
        self._running = False

    def refusal(self) -> Response | None:
        """An answer for who comes too soon."""
        left = self._free_at - time.monotonic()
        if not self._running and left <= 0:
            return None
        wait = max(1, math.ceil(left))
        detail = f"this stops the process for a moment: once in {self._seconds:.0f} s"
        return problem_response(429, detail, {"Retry-After": str(wait)})

    async def run(self, function: Callable[[], T]) -> T:
        """In a thread, so that the admin listener goes on."""
        self._running = True
        try:
            return await asyncio.to_thread(function)
        finally:
            self._running = False
            self._free_at = time.monotonic() + self._seconds


def _listing_seconds() -> float:
    return collecting.listing_seconds(sys.getallocatedblocks())


class MemoryPages:
    """`/debug/memory`, `/debug/freeosmemory`, `/debug/gc` and `/debug/objects`."""

    def __init__(self, account: MemoryAccount, pauses: Callable[[], Buckets]) -> None:
        self._account = account
        self._pauses = pauses
        self._stops = _Ration(PAUSE_SECONDS)
        self._counts = _Ration(0.0)
        self._counted: tuple[float, Mapping[str, int]] | None = None

    def routes(self) -> list[Route]:
        """What an application needs to serve them."""
        return [
            Route("/debug/memory", self._memory),
            Route("/debug/freeosmemory", self._free, methods=["POST"]),
            Route("/debug/gc", self._gc),
            Route("/debug/gc/freeze", partial(self._change, "freeze", collecting.freeze), methods=["POST"]),
            Route("/debug/gc/unfreeze", partial(self._change, "unfreeze", collecting.unfreeze), methods=["POST"]),
            Route("/debug/objects", self._objects),
        ]

    async def _memory(self, request: Request) -> Response:
        rows = self._account.rows()
        connections = self._account.sockets()
        told = why({row.layer.name: row.size for row in rows}, connections)
        exact: int | None = None
        if "smaps" in request.query_params:
            # The kernel keeps others from mapping memory meanwhile: one at a time.
            refusal = self._counts.refusal()
            if refusal is not None:
                return refusal
            exact = await self._counts.run(procfs.private)
        if wants_json(request):
            body: dict[str, object] = {
                "connections": connections,
                "layers": table(rows, connections),
                "machine_tcp_buffer_bytes": procfs.tcp_buffers(),
                "why": told,
            }
            return JSONResponse(body if exact is None else {**body, "private_bytes": exact})
        return document("Memory", memory_page(rows, connections, told, exact, PAUSE_SECONDS))

    async def _free(self, request: Request) -> Response:
        refusal = self._stops.refusal()
        if refusal is not None:
            return refusal
        before = self._account.read().sizes
        pause = await self._stops.run(collecting.give_back)
        after = self._account.read().sizes
        return JSONResponse(
            {
                "collect_seconds": round(pause.collect, 6),
                "trim_seconds": round(pause.trim, 6),
                "layers": {
                    name: {"before_bytes": size, "after_bytes": after[name]}
                    for name, size in before.items()
                    if size is not None
                },
            }
        )

    async def _change(self, what: str, function: Callable[[], float], request: Request) -> Response:
        refusal = self._stops.refusal()
        if refusal is not None:
            return refusal
        seconds = await self._stops.run(function)
        return JSONResponse({"done": what, "seconds": round(seconds, 6)})

    async def _gc(self, request: Request) -> Response:
        counted: dict[str, int] | None = None
        if "count" in request.query_params:
            refusal = self._too_long(request) or self._counts.refusal()
            if refusal is not None:
                return refusal
            counted = await self._counts.run(collecting.tracked)
        state = collecting.state()
        if wants_json(request):
            pauses = {generation: dict(buckets) for generation, buckets in self._pauses().items()}
            return JSONResponse({**state, "pause_seconds_buckets": pauses, "tracked": counted})
        return document("Garbage collector", gc_page(state, self._pauses(), counted, _listing_seconds()))

    async def _objects(self, request: Request) -> Response:
        refusal = self._too_long(request) or self._counts.refusal()
        if refusal is not None:
            return refusal
        began = time.perf_counter()
        now = await self._counts.run(collecting.types)
        seconds = time.perf_counter() - began
        before, self._counted = self._counted, (time.monotonic(), now)
        found = collecting.compare(now, before and before[1])
        since = None if before is None else round(self._counted[0] - before[0], 1)
        if wants_json(request):
            types = [{"type": one.name, "count": one.number, "delta": one.delta} for one in found]
            body = {"total": sum(now.values()), "seconds": round(seconds, 6), "since_seconds": since, "types": types}
            return JSONResponse(body)
        return document("Objects", objects_page(found, sum(now.values()), seconds, since))

    def _too_long(self, request: Request) -> Response | None:
        """An answer for what might hold the GIL for too long, and was not said to be wanted all the same."""
        seconds = _listing_seconds()
        if seconds <= LONGEST_HOLD_SECONDS or "force" in request.query_params:
            return None
        detail = (
            f"listing what is tracked may stop the process for {seconds:.2f} s; add force=1 to have it all the same"
        )
        return problem_response(409, detail)
