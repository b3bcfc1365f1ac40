"""The header of a mail or of a part of one (RFC 5322 section 2.2, and 4 for what is obsolete and still sent). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tidings.webmail.mail.source import Source, find

MAX_HEADER_BYTES: Final = 256 * 1024
"""How far into a header its fields are looked for."""
MAX_FIELD_BYTES: Final = 16 * 1024
"""How much of one field is read."""
STEP: Final = 4 * 1024
"""How much of a header is read first. Most are shorter."""

_READ: Final = {
    name.encode(): name
    for name in (
        "from",
        "to",
        "subject",
        "date",
        "content-type",
        "content-disposition",
        "content-transfer-encoding",
    )
}
# A name, blanks (obsolete), a colon; the value goes on in the lines that begin with a blank. What matches nothing is
# left out: programs that add to a header do not all know how to fold.
_FIELD: Final = re.compile(rb"^([!-9;-~]{1,200}+)[ \t]*+:(.*+(?:\n[ \t].*+)*+)\n?", re.MULTILINE)
_BLANK: Final = re.compile(rb"^\r?(?:\n|\Z)|\n\r?\n")
_EMPTY_LINE: Final = re.compile(rb"\r?(?:\n|\Z)")
_MAILBOX_LINE: Final = re.compile(rb">?From [^\n]*+(?:\n|\Z)")


class Head(NamedTuple):
    """The fields of a header that are read here, by lower-case name, the first of each; where the body begins.

    `looked_at` is how many bytes it took to find them.
    """

    fields: Mapping[str, bytes]
    body: int
    looked_at: int

    def get(self, name: str) -> bytes:
        """A field's value as it was sent, its beginning; empty where there is none."""
        return self.fields.get(name, b"")


def newline_of(source: Source, start: int, end: int) -> bytes:
    """What ends the lines here: a line feed, with or without a carriage return, unless there are only the latter."""
    beginning = source.read(start, min(end, start + STEP))
    return b"\r" if b"\r" in beginning and b"\n" not in beginning else b"\n"


def read_head(source: Source, start: int, end: int, newline: bytes, limit: int = MAX_HEADER_BYTES) -> Head:
    """The header that begins at `start`, of which `limit` bytes are looked at."""
    size = STEP
    while True:
        block = source.read(start, min(start + size, end))
        if newline == b"\r":
            block = block.replace(b"\r", b"\n")
        blank = _BLANK.search(block)
        if blank is not None or start + size >= end or size >= limit:
            break
        size = min(size * 8, limit)
    if blank is not None:
        return _read(block[: blank.end()], start)
    if start + size >= end:
        return _read(block, start)
    # The end of the header is further on than anybody looks for fields.
    fields = _read(block, start).fields
    for gap in (newline * 2, b"\n\r\n"):
        place = find(source, gap, start, end)
        end = place + len(gap) if place >= 0 else end
    return Head(fields, end, len(block))


def _read(block: bytes, start: int) -> Head:
    """The fields of a block that ends with its blank line, if there is one.

    Lines at its end that are no fields are the body, whose blank line was forgotten.
    """
    place = 0
    mailbox_line = _MAILBOX_LINE.match(block)
    if mailbox_line is not None:
        place = mailbox_line.end()
    fields: dict[str, bytes] = {}
    for found in _FIELD.finditer(block, place):
        name = found[1].lower()
        if name in _READ:
            fields.setdefault(_READ[name], found[2].strip()[:MAX_FIELD_BYTES])
        place = found.end()
    blank = _EMPTY_LINE.match(block, place)
    return Head(fields, start + (blank.end() if blank is not None else place), len(block))
