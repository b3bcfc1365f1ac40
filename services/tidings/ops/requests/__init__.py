"""The life of a request, as Go's x/net/trace shows it: some are followed, in bounded memory. Knows no application."""

from tidings.ops.requests.asgi import Followed, Life, life_of, reached
from tidings.ops.requests.book import Book, Family, Trace
from tidings.ops.requests.pages import RequestPages
from tidings.ops.requests.sampling import Sampler

__all__ = ["Book", "Family", "Followed", "Life", "RequestPages", "Sampler", "Trace", "life_of", "reached"]
