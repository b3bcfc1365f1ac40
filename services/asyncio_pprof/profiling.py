"""All of it, put together for a program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from asyncio_pprof.access import Guard, Guarded, loopback_only
from asyncio_pprof.home import PROFILES, Home
from asyncio_pprof.memory import Breakdown, MemoryPages, Pauses
from asyncio_pprof.memory.views import Buckets
from asyncio_pprof.page import BELOW, assets
from asyncio_pprof.pprof import Connections, Options, Profiler
from asyncio_pprof.traces import Book, Followed, RequestPages

PORT: Final = 6060
"""Where Go's examples have it."""


class Profiling:
    """The profilers of a process, its memory and its requests, and the pages that show them.

    Making it does nothing yet. `connections` lists what the profile `fd` tells of sockets, `pauses` gives those of the
    collector where the program counts them itself, and `home` is the page of the program that leads to these.
    """

    def __init__(
        self,
        options: Options,
        *,
        connections: Connections = tuple,
        pauses: Callable[[], Buckets] | None = None,
        home: Home | None = None,
    ) -> None:
        self.profiler = Profiler(options, connections, home)
        self.memory = Breakdown()
        self.requests = Book()
        self._pauses = Pauses()
        self._counts_pauses = pauses is None
        self._pages = (
            self.profiler,
            MemoryPages(self.memory, pauses or self._pauses.buckets, home or PROFILES),
            RequestPages(self.requests, home or PROFILES),
        )

    def install(self) -> None:
        """Set the signal handler and the hooks: in the main thread, before what is to be profiled is made."""
        self.profiler.install()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop inside of this: its tasks and its stalls; growth of memory is counted from here."""
        with ExitStack() as stack:
            stack.enter_context(self.profiler.watching())
            if self._counts_pauses:
                stack.enter_context(self._pauses.watching())
            self.memory.begin()
            yield

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        """The same, as the lifespan of an ASGI application that has none of its own."""
        with self.watching():
            yield

    def follow(self, app: ASGIApp, routes: Sequence[BaseRoute], family: str = "requests") -> Followed:
        """Middleware: the requests of an application are followed for `/debug/requests`, called by its `routes`."""
        what = "from request head to response head"
        return Followed(app, routes, self.requests.family(family, what))

    def routes(self, below: str = BELOW) -> list[Route]:
        """The pages, for a listener that only operators reach: nothing guards them."""
        return [*(route for pages in self._pages for route in pages.routes(below)), assets(below)]

    def app(self, guard: Guard = loopback_only) -> Starlette:
        """The pages as an application to be mounted, which answers those whom the guard lets."""
        routes = [Route("/", RedirectResponse("pprof/")), *self.routes("")]
        return Starlette(routes=routes, middleware=[Middleware(Guarded, guard=guard)])

    @contextmanager
    def serving(self, host: str = "127.0.0.1", port: int = PORT, guard: Guard = loopback_only) -> Iterator[int]:
        """Watch the running loop, and serve the pages below `/debug/` from a thread; yields the port, for 0 a free one.

        Raises ImportError without uvicorn, OSError when the address cannot be had.
        """
        # Whoever mounts the pages in a server of their own needs no other.
        from asyncio_pprof.server import serving

        app = Starlette(routes=[Mount(BELOW, self.app(guard))])
        with serving(app, host, port) as bound, self.watching():
            yield bound
