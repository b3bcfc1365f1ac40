"""Where the bytes of a mail come from, a piece at a time: a mail is never in memory as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

WINDOW: Final = 256 * 1024
"""How many bytes are read at once. A search in so many takes well below a millisecond, during which no other thread
of this process runs."""


class Source(Protocol):
    """The bytes of a mail, by offset."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, start: int, end: int) -> bytes:
        """Those from `start` to `end`; fewer where the mail has become shorter."""


class Bytes(NamedTuple):
    """A mail, or its beginning, that is in memory already."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> bytes:
        return self.data[start:end]


def windows(source: Source, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, in pieces of at most WINDOW."""
    for place in range(start, end, WINDOW):
        yield source.read(place, min(place + WINDOW, end))


def find(source: Source, needle: bytes, start: int, end: int) -> int:
    """Where `needle` first begins between these offsets, or -1."""
    return next(occurrences(source, needle, start, end), -1)


def occurrences(source: Source, needle: bytes, start: int, end: int) -> Iterator[int]:
    """Where `needle` begins between these offsets, each byte read once."""
    for place in range(start, end, WINDOW):
        piece = source.read(place, min(place + WINDOW + len(needle) - 1, end))
        found = piece.find(needle)
        while 0 <= found < WINDOW:
            yield place + found
            found = piece.find(needle, found + 1)
