"""The life of a request, as Go's x/net/trace shows it: some are followed, in bounded memory. Knows no application."""

from asyncio_pprof.traces.asgi import Followed, Life, life_of, reached
from asyncio_pprof.traces.book import Book, Family, Trace
from asyncio_pprof.traces.pages import RequestPages
from asyncio_pprof.traces.sampling import Sampler

__all__ = ["Book", "Family", "Followed", "Life", "RequestPages", "Sampler", "Trace", "life_of", "reached"]
