"""The parts of a mail (RFC 2046), as offsets into it. Pure.

A multipart is split at its own boundary before anything in it is looked at, so that no part can end what it is in.
Nothing is decoded here, and what is looked at is bounded: depth, parts, bytes of headers, and how often the same bytes
are searched. Reading a mail takes time that is linear in its size, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tidings.webmail.mail import words
from tidings.webmail.mail.fields import STEP, Head, newline_of, read_head
from tidings.webmail.mail.source import Source, occurrences

MAX_DEPTH: Final = 20
MAX_PARTS: Final = 1000
MAX_PART_HEADER: Final = 32 * 1024
MAX_HEADERS: Final = 512 * 1024
"""How many bytes of the headers of all parts are read."""
FIELDS_COST: Final = 100
"""What looking into a header takes, in bytes of it."""
MAX_PASSES: Final = 4
"""How often the bytes of a mail are searched, on the average: once for each multipart that they are in."""
MAX_BOUNDARY: Final = 200
MAX_FALSE: Final = 10_000
"""How many lines that only begin like a boundary are looked at."""
TAIL: Final = 1024
"""How far a boundary's line is followed for its end."""


@dataclass(slots=True)
class Part:
    """A part, or the mail itself. Its body is what is from `start` to `end`.

    `number` is its place among the parts of the mail, by which it can be asked for.
    """

    number: int
    type: str
    charset: str | None
    disposition: str
    name: str
    encoding: str
    flowed: bool
    delsp: bool
    start: int
    end: int
    children: list[Part] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The type before the slash."""
        return self.type.partition("/")[0]

    def leaves(self) -> Iterator[Part]:
        """Those without parts of their own, in order."""
        if self.kind != "multipart":
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Structure:
    """A mail: its header, its parts, and whether some of them were left out as too many, too deep or too large."""

    head: Head
    root: Part
    cut: bool


def structure_of(source: Source, start: int, end: int, body: int | None = None) -> Structure:
    """The mail between these offsets; of its body so many bytes, or all."""
    # What a mailer or a script wrote before the header.
    blanks = source.read(start, min(start + STEP, end))
    start += len(blanks) - len(blanks.lstrip(b"\r\n"))
    newline = newline_of(source, start, end)
    head = read_head(source, start, end, newline)
    if body is not None:
        end = min(end, head.body + body)
    reader = _Reader(source, newline, (end - start) * MAX_PASSES)
    root = reader.part(head, end, "text/plain", 0)
    return Structure(head, root, reader.cut)


class _Reader:
    """Reads the parts of one mail. `search` is how many bytes may be searched for boundaries."""

    def __init__(self, source: Source, newline: bytes, search: int) -> None:
        self.newline = newline
        self.cut = False
        self._source = source
        self._search = search
        self._headers = MAX_HEADERS
        self._false = MAX_FALSE
        self._parts = 0

    def part(self, head: Head, end: int, default: str, depth: int) -> Part:
        """The part that this is the header of. `default` is the type of one that says none."""
        content = words.read_value(words.text_of(head.get("content-type")) or default)
        disposition = words.read_value(words.text_of(head.get("content-disposition")))
        parameters = content.parameters
        boundary = parameters.get("boundary", "").rstrip().encode()
        kind = content.main if content.main.count("/") == 1 else "text/plain"
        part = Part(
            number=self._parts,
            type=kind,
            charset=parameters.get("charset"),
            disposition=disposition.main,
            name=words.shown(disposition.parameters.get("filename") or parameters.get("name", "")),
            encoding=words.read_value(words.text_of(head.get("content-transfer-encoding"))).main,
            flowed=parameters.get("format", "").lower() == "flowed",
            delsp=parameters.get("delsp", "").lower() == "yes",
            start=head.body,
            end=end,
        )
        self._parts += 1
        if kind.startswith("multipart/"):
            if 0 < len(boundary) <= MAX_BOUNDARY:
                part.children = self._children(part, boundary, depth)
            if not part.children and not self.cut:
                # Whatever it was to be, it is a text now.
                part.type = "text/plain"
        return part

    def _children(self, part: Part, boundary: bytes, depth: int) -> list[Part]:
        if depth == MAX_DEPTH or part.end - part.start > self._search:
            self.cut = True
            return []
        self._search -= part.end - part.start
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        children: list[Part] = []
        for start, end in self._extents(part, boundary):
            if self._parts >= MAX_PARTS or self._headers <= 0:
                self.cut = True
                break
            head = read_head(self._source, start, end, self.newline, min(MAX_PART_HEADER, self._headers))
            self._headers -= head.looked_at + FIELDS_COST
            children.append(self.part(head, end, default, depth + 1))
        return children

    def _extents(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
        """From where to where each part goes, without the line ends that belong to the boundaries."""
        begun: int | None = None
        for line, after, last in self._boundaries(part, boundary):
            if begun is not None:
                yield begun, max(begun, line)
            begun = None if last else after
            if last:
                return
        if begun is not None:
            yield begun, part.end

    def _boundaries(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
        """Where a boundary's line begins, with the line end before it; where it ends; whether it is the last."""
        mark = b"--" + boundary
        if self._source.read(part.start, part.start + len(mark)) == mark:
            found = self._boundary(part.start, part.start + len(mark), part.end)
            if found is not None:
                yield part.start, *found
        for place in occurrences(self._source, self.newline + mark, part.start, part.end):
            found = self._boundary(place, place + 1 + len(mark), part.end)
            if found is None:
                self._false -= 1
                if self._false < 0:
                    self.cut = True
                    return
            else:
                crlf = self.newline == b"\n" and place > part.start and self._source.read(place - 1, place) == b"\r"
                yield place - crlf, *found

    def _boundary(self, line: int, tail: int, end: int) -> tuple[int, bool] | None:
        """What follows a boundary in its line decides whether it is one: nothing, or two dashes, and blanks."""
        rest = self._source.read(tail, min(tail + TAIL, end))
        last = rest.startswith(b"--")
        text, newline, _ = rest.partition(self.newline)
        if text[2 if last else 0 :].strip() or (not newline and tail + len(rest) < end):
            return None
        return tail + len(text) + len(newline), last
