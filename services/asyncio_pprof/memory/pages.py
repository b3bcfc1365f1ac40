"""The pages of the breakdown: GET shows, POST changes something and is rationed."""

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

from asyncio_pprof.home import PROFILES, Home
from asyncio_pprof.memory import gc, procfs
from asyncio_pprof.memory.breakdown import Breakdown
from asyncio_pprof.memory.layers import table, why
from asyncio_pprof.memory.objects import compare
from asyncio_pprof.memory.views import Buckets, gc_page, memory_page, objects_page
from asyncio_pprof.page import BELOW, document, wants_json
from asyncio_pprof.pprof.answers import Refusal, answering

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

    async def run(self, function: Callable[[], T]) -> T:
        """In a thread, so that whoever serves the pages goes on. Raises Refusal (429) for who comes too soon."""
        left = self._free_at - time.monotonic()
        if self._running or left > 0:
            text = f"this request stops the process for a moment: it is answered once in {self._seconds:.0f} s"
            raise Refusal(429, text, {"Retry-After": str(max(1, math.ceil(left)))})
        self._running = True
        try:
            return await asyncio.to_thread(function)
        finally:
            self._running = False
            self._free_at = time.monotonic() + self._seconds


def _listing_seconds() -> float:
    return gc.listing_seconds(sys.getallocatedblocks())


def _refuse_what_takes_long(request: Request) -> None:
    """Raise Refusal (409) for what might hold the GIL for too long, and was not said to be wanted all the same."""
    seconds = _listing_seconds()
    if seconds > LONGEST_HOLD_SECONDS and "force" not in request.query_params:
        raise Refusal(
            409,
            f"counting tracked objects may stop the process for {seconds:.2f} s; add force=1 to count them anyway",
        )


class MemoryPages:
    """`/debug/memory`, `/debug/freeosmemory`, `/debug/gc` and `/debug/objects`."""

    def __init__(self, breakdown: Breakdown, pauses: Callable[[], Buckets], home: Home = PROFILES) -> None:
        self._breakdown = breakdown
        self._home = home
        self._pauses = pauses
        self._stops = _Ration(PAUSE_SECONDS)
        self._counts = _Ration(0.0)
        self._counted: tuple[float, Mapping[str, int]] | None = None

    def routes(self, below: str = BELOW) -> list[Route]:
        """What an application needs to serve them."""
        freeze, unfreeze = partial(self._change, "freeze", gc.freeze), partial(self._change, "unfreeze", gc.unfreeze)
        return [
            Route(f"{below}/memory", answering(self._memory)),
            Route(f"{below}/freeosmemory", answering(self._free), methods=["POST"]),
            Route(f"{below}/gc", answering(self._gc)),
            Route(f"{below}/gc/freeze", answering(freeze), methods=["POST"]),
            Route(f"{below}/gc/unfreeze", answering(unfreeze), methods=["POST"]),
            Route(f"{below}/objects", answering(self._objects)),
        ]

    async def _memory(self, request: Request) -> Response:
        rows = self._breakdown.rows()
        connections = self._breakdown.sockets()
        told = why({row.layer.name: row.size for row in rows}, connections)
        exact: int | None = None
        if "smaps" in request.query_params:
            # The kernel keeps others from mapping memory meanwhile: one at a time.
            exact = await self._counts.run(procfs.private)
        if wants_json(request):
            body: dict[str, object] = {
                "connections": connections,
                "layers": table(rows, connections),
                "machine_tcp_buffer_bytes": procfs.tcp_buffers(),
                "why": told,
            }
            return JSONResponse(body if exact is None else {**body, "private_bytes": exact})
        return document("Memory", memory_page(rows, connections, told, exact, PAUSE_SECONDS), self._home)

    async def _free(self, request: Request) -> Response:
        before = self._breakdown.read().sizes
        pause = await self._stops.run(gc.give_back)
        after = self._breakdown.read().sizes
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
        seconds = await self._stops.run(function)
        return JSONResponse({"done": what, "seconds": round(seconds, 6)})

    async def _gc(self, request: Request) -> Response:
        counted: dict[str, int] | None = None
        if "count" in request.query_params:
            _refuse_what_takes_long(request)
            counted = await self._counts.run(gc.tracked)
        state = gc.state()
        if wants_json(request):
            pauses = {generation: dict(buckets) for generation, buckets in self._pauses().items()}
            return JSONResponse({**state, "pause_seconds_buckets": pauses, "tracked": counted})
        return document("Garbage collector", gc_page(state, self._pauses(), counted, _listing_seconds()), self._home)

    async def _objects(self, request: Request) -> Response:
        _refuse_what_takes_long(request)
        began = time.perf_counter()
        now = await self._counts.run(gc.types)
        seconds = time.perf_counter() - began
        before, self._counted = self._counted, (time.monotonic(), now)
        found = compare(now, before and before[1])
        since = None if before is None else round(self._counted[0] - before[0], 1)
        if wants_json(request):
            types = [{"type": one.name, "count": one.number, "delta": one.delta} for one in found]
            body = {"total": sum(now.values()), "seconds": round(seconds, 6), "since_seconds": since, "types": types}
            return JSONResponse(body)
        return document("Objects", objects_page(found, sum(now.values()), seconds, since), self._home)
