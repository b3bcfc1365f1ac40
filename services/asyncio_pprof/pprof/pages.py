"""The profiles over HTTP, at the paths and with the parameters of Go's `net/http/pprof`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from asyncio_pprof.files import NOSNIFF
from asyncio_pprof.home import Home
from asyncio_pprof.page import BELOW
from asyncio_pprof.pprof import answers, flame, index, tasks, text
from asyncio_pprof.pprof.answers import Refusal, answering
from asyncio_pprof.pprof.cpu import CpuSampler, InUse
from asyncio_pprof.pprof.encoding import Encoder, address
from asyncio_pprof.pprof.profile import CPU, GOROUTINE, WALL, Profile
from asyncio_pprof.pprof.slices import in_slices
from asyncio_pprof.pprof.sources import Sources
from asyncio_pprof.pprof.stacks import Symbols
from asyncio_pprof.pprof.wall import WallSampler

DEFAULT_SECONDS: Final = 30
MAX_ADDRESSES: Final = 65_536
BODY_SECONDS: Final = 10.0
BODY_BYTES: Final = 64 * 1024
"""How long the body of a request may take to arrive."""
COMMENT: Final = (
    "Profiling costs less than 2% of a core when no profile is taken, and at most 5% while one is taken. Only heap and "
    "allocs cost more. Each profile is taken by one client at a time, for at most 240 seconds."
)
NO_TRACE: Final = (
    "Python has no execution tracer. /debug/pprof/wall shows where time passes, /debug/pprof/block what blocked the "
    "event loop"
)


class Pages:
    """Handlers. They run in a loop that is not the one they tell of."""

    def __init__(self, program: str, cpu: CpuSampler, sources: Sources, home: Home | None) -> None:
        self._program = program
        self._home = home
        self._cpu = cpu
        self._sources = sources
        self._busy: set[str] = set()
        self._names: dict[int, str] = {}

    def routes(self, below: str = BELOW) -> list[Route]:
        """All pages: `pprof/` and `flame/`."""
        return [
            Route(f"{below}/pprof/", answering(self._index)),
            # Go takes either, and asks for many symbols by POST.
            Route(f"{below}/pprof/{{name}}", answering(self._profile), methods=["GET", "POST"]),
            # Without a profile to show it is of no use, and so no page that others link to.
            Route(f"{below}/flame/{{file:path}}", flame.serve),
        ]

    async def _index(self, request: Request) -> Response:
        entries = [
            index.Entry(
                "profile",
                "CPU time of all threads, by stack, over 30 seconds, or ?seconds=N",
                "1% of a core",
                timed="seconds=5",
            ),
            index.Entry(
                "wall",
                "time that passes in each thread, with waiting, over 30 seconds, or ?seconds=N",
                "2% of a core",
                timed="seconds=5",
            ),
            *(
                index.Entry(
                    name,
                    source.about,
                    source.cost,
                    text="?debug=1",
                    timed="seconds=5" if name in ("heap", "allocs") else "",
                )
                for name, source in self._sources.by_name.items()
            ),
            index.Entry("cmdline", "the command line, without secrets", "nothing", graph=False),
            index.Entry("symbol", "names of addresses in profiles (?0x...+0x...)", "nothing", graph=False),
            index.Entry("trace", "not available: Python has no execution tracer", "nothing", graph=False),
        ]
        page = index.page(self._program, entries, COMMENT, self._home)
        return HTMLResponse(page, headers={"Content-Security-Policy": index.POLICY, **NOSNIFF})

    async def _profile(self, request: Request) -> Response:
        name = request.path_params["name"]
        match name:
            case "cmdline":
                return answers.text("\0".join(text.redacted(sys.orig_argv)))
            case "symbol":
                return await self._symbol(request)
            case "trace":
                raise Refusal(501, NO_TRACE)
            case "profile" | "wall":
                return await self._sampled(request, name)
            case _ if name in self._sources.by_name:
                return await self._summed(request, name)
            case _:
                raise Refusal(404, "Unknown profile")

    async def _symbol(self, request: Request) -> Response:
        asked = await _body(request) if request.method == "POST" else request.url.query
        return answers.text(text.symbols(asked, self._names.get))

    async def _sampled(self, request: Request, name: str) -> Response:
        seconds = answers.seconds(request.query_params) or DEFAULT_SECONDS
        async with self._alone(name):
            if name == WALL.name:
                sampler = WallSampler()
                try:
                    await _pause(request, seconds)
                finally:
                    profile = await asyncio.to_thread(sampler.stop)
            else:
                try:
                    self._cpu.start()
                except InUse as error:
                    raise Refusal(500, f"Could not enable CPU profiling: {error}") from None
                try:
                    await _pause(request, seconds)
                finally:
                    profile = self._cpu.stop()
            return answers.binary(await self._encoded(profile), profile.kind.name)

    async def _summed(self, request: Request, name: str) -> Response:
        query = request.query_params
        source = self._sources.by_name[name]
        seconds, debug = answers.seconds(query), answers.whole(query, "debug")
        collect = answers.whole(query, "gc") > 0
        if seconds is None:
            if debug > 1 and name == GOROUTINE.name:
                return answers.text(await self._dump())
            profile = await source.take(collect)
            return answers.text(text.grouped(profile)) if debug else answers.binary(await self._encoded(profile), name)
        if debug:
            raise Refusal(400, "seconds and debug params are incompatible")
        async with self._alone(name):
            try:
                async with self._sources.over(name):
                    before = await source.take(collect)
                    await _pause(request, seconds)
                    profile = (await source.take(collect)).since(before)
            except InUse as error:
                raise Refusal(500, f"Could not enable heap profiling: {error}") from None
            return answers.binary(await self._encoded(profile), f"{name}-delta")

    async def _dump(self) -> str:
        symbols = Symbols()
        return "".join([tasks.described(title, stack) async for title, (stack, _) in self._sources.everything(symbols)])

    async def _encoded(self, profile: Profile) -> bytes:
        encoder = Encoder(profile.kind, self._program)
        async for (stack, labels), values in in_slices(profile.samples.items()):
            encoder.add(stack, labels, values)
        if len(self._names) > MAX_ADDRESSES:
            self._names.clear()
        self._names.update((address(frame), frame.function) for frame in encoder.frames())
        return encoder.finish(profile)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        """Take a profile of some seconds, when no other of this name is being taken. Raises Refusal (500)."""
        if name in self._busy:
            kind = "CPU" if name == CPU.name else name
            raise Refusal(500, f"Could not enable {kind} profiling: {kind.lower()} profiling already in use")
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)


async def _pause(request: Request, seconds: float) -> None:
    """Wait for so long, or until the client has gone."""
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({gone}, timeout=seconds)
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> str:
    """What is asked by POST. Who says little of it, or nothing, would hold the place of a request for ever."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise Refusal(413, f"The body has more than {BODY_BYTES} bytes", {"Connection": "close"})
            return body.decode("latin-1")
    except TimeoutError:
        raise Refusal(408, "The body did not arrive in time", {"Connection": "close"}) from None
