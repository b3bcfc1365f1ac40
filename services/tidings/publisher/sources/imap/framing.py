"""Bytes of an IMAP server to its responses, one by one, within bounds (RFC 9051 section 2.2.2). Pure.

A response is a line. Where that ends with a literal, `{5}`, so many bytes and another line follow, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidings.errors import ImapError

MAX_RESPONSE_BYTES: Final = 64 * 1024
"""One response with its literals. The longest that a listener has use for names a mailbox."""
MAX_DIGITS: Final = 10

Record = list[bytes | tuple[bytes, bytes]]
"""A response as IMAPClient's parser takes it: (text that ends with a literal's size, the literal), ..., text."""


class Framer:
    """Cuts what a server sends into responses, however it is torn."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._record: Record = []
        self._size = 0
        self._literal: tuple[bytes, int] | None = None
        """A text before a literal, and how many bytes that has."""

    def feed(self, data: bytes) -> Iterator[Record]:
        """The responses that are complete now. Raises ImapError (protocol) for one that is too large, after those."""
        self._buffer += data
        while (record := self._next()) is not None:
            yield record
        if self._size + len(self._buffer) > MAX_RESPONSE_BYTES:
            raise _too_large()

    def _next(self) -> Record | None:
        while True:
            if self._literal is not None:
                text, size = self._literal
                if len(self._buffer) < size:
                    return None
                self._record.append((text, bytes(self._buffer[:size])))
                del self._buffer[:size]
                self._size += size
                self._literal = None
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                return None
            line = bytes(self._buffer[:end]).removesuffix(b"\r")
            del self._buffer[: end + 1]
            self._searched = 0
            self._size += end + 1
            follows = _literal_size(line)
            if self._size + (follows or 0) > MAX_RESPONSE_BYTES:
                raise _too_large()
            if follows is None:
                record, self._record, self._size = [*self._record, line], [], 0
                return record
            self._literal = line, follows


def _literal_size(line: bytes) -> int | None:
    """The size of the literal that follows a line; None: none does."""
    if not line.endswith(b"}"):
        return None
    digits = line[:-1].rpartition(b"{")[2]
    return int(digits) if digits.isdigit() and len(digits) <= MAX_DIGITS else None


def _too_large() -> ImapError:
    return ImapError("protocol", f"a response of more than {MAX_RESPONSE_BYTES} bytes")
