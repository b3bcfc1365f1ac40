"""What a mail says: its text as parts to be shown in order, what is attached, what is left out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tidings.webmail.mail import charsets, words
from tidings.webmail.mail.flowed import unwrapped
from tidings.webmail.mail.gist import words_of
from tidings.webmail.mail.layout import HTML, PLAIN, Layout, layout_of
from tidings.webmail.mail.parts import Part, Structure, structure_of
from tidings.webmail.mail.source import WINDOW, Bytes, Source, windows
from tidings.webmail.mail.transfer import KNOWN, PLAIN_ENCODINGS, decoded, end_of_base64

SNIPPET_CHARS: Final = 140
SUMMARY_BYTES: Final = 16 * 1024
"""How far into its body a message is read for its summary."""
SNIPPET_PARTS: Final = 5
SNIPPET_BYTES: Final = 8 * 1024
MAX_TEXT_BYTES: Final = 1024 * 1024
"""How much text of a mail is shown, decoded."""
MAX_FOOTER_BYTES: Final = 16 * 1024
MAX_ATTACHMENTS: Final = 100
MAX_SHOWN: Final = 100
"""How many parts are shown as text."""
MAX_ENCODED_MESSAGE: Final = 16 * 1024 * 1024
"""How large an attached mail may be that is encoded, against RFC 2046 section 5.2.1, and so has to be in memory."""
MESSAGE: Final = frozenset(("message/rfc822", "message/global"))
_NEWLINE: Final = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class Summary:
    """A message's line in the list. `date` is what its author claims, in Unix seconds."""

    sender: str
    subject: str
    date: float | None
    snippet: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A part that is text. `name` is the file it came as, if it did. HTML is hostile until sanitised."""

    part: int
    html: bool
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not shown. `size` is about what it decodes to, in bytes; `message`: it is a mail."""

    part: int
    name: str
    type: str
    size: int
    message: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A message as it is read: what to show, in order; what is attached; in `notes`, what is missing from both.

    `text` is the same for who shows no HTML, None where there is no plain text at all.
    """

    sender: str
    to: str
    subject: str
    date: float | None
    shown: tuple[Shown, ...]
    text: str | None
    attachments: tuple[Attachment, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail is in a source: it is the whole of it, or attached to another."""

    source: Source
    start: int
    end: int


def whole(source: Source) -> Place:
    """The mail that a source is."""
    return Place(source, 0, source.size)


def summary_of(source: Source) -> Summary:
    """The list line of a message, from its header and the beginning of its body."""
    structure = structure_of(source, 0, source.size, SUMMARY_BYTES)
    field = _fields(structure)
    return Summary(
        sender=words.sender_name(field("from")),
        subject=words.shown(field("subject")),
        date=words.date_of(field("date")),
        snippet=_snippet(source, layout_of(structure.root).plain),
    )


def _fields(structure: Structure) -> Callable[[str], str]:
    """The fields of a mail, by name. What is not encoded in them is in the charset of the mail's text, or may be."""
    charset = next((part.charset for part in structure.root.leaves() if part.charset), None)
    return lambda name: words.text_of(structure.head.get(name), charset)


def _snippet(source: Source, parts: Sequence[Part]) -> str:
    for part in parts[:SNIPPET_PARTS]:
        text = _Reader(source, SNIPPET_BYTES).text(part)
        line = words.one_line(words_of(text) if part.type == HTML else text)
        if line:
            return line[:SNIPPET_CHARS].rstrip()
    return ""


def content_of(place: Place) -> Content:
    """A whole message."""
    structure = structure_of(place.source, place.start, place.end)
    layout = layout_of(structure.root)
    reader = _Reader(place.source, MAX_TEXT_BYTES)
    shown = tuple(reader.shown(layout.html))
    told = {part.part: part.content for part in shown}
    plain = _Reader(place.source, MAX_TEXT_BYTES)
    texts = [told.get(part.number) or plain.text(part) for part in layout.plain[:MAX_SHOWN] if part.type != HTML]
    field = _fields(structure)
    return Content(
        sender=words.shown(field("from")),
        to=words.shown(field("to")),
        subject=words.shown(field("subject")),
        date=words.date_of(field("date")),
        shown=shown,
        text="\n".join(texts) if texts else None,
        attachments=tuple(_attachment(place.source, part) for part in layout.attached[:MAX_ATTACHMENTS]),
        notes=(*reader.notes, *_left_out(structure, layout)),
    )


def attached_mail(place: Place, number: int) -> Place | None:
    """The mail that is attached as part `number`, if there is one that can be read."""
    part = part_of(place, number)
    if part is None or part.type not in MESSAGE:
        return None
    if part.encoding in PLAIN_ENCODINGS:
        return Place(place.source, part.start, part.end)
    if part.end - part.start > MAX_ENCODED_MESSAGE:
        return None
    return whole(Bytes(b"".join(pieces_of(place, part))))


def part_of(place: Place, number: int) -> Part | None:
    """The part of this number, which is no multipart."""
    structure = structure_of(place.source, place.start, place.end)
    return next((part for part in structure.root.leaves() if part.number == number), None)


def pieces_of(place: Place, part: Part) -> Iterator[bytes]:
    """What a part decodes to, in pieces."""
    return decoded(windows(place.source, part.start, part.end), part.encoding)


class _Reader:
    """Reads texts, of all together `room` bytes; in `notes`, what it left out or had to guess."""

    def __init__(self, source: Source, room: int) -> None:
        self._source = source
        self._room = room
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def shown(self, parts: Sequence[Part]) -> Iterator[Shown]:
        """These parts, to be shown in this order."""
        for part in parts[:MAX_SHOWN]:
            yield Shown(part.number, part.type == HTML, part.name, self.text(part))
        if len(parts) > MAX_SHOWN:
            self._note(f"{len(parts) - MAX_SHOWN} more texts are in this mail than the {MAX_SHOWN} shown.")

    def text(self, part: Part) -> str:
        """The text that a part is, with line feeds at the ends of its lines."""
        data, footer, cut = self._bytes(part)
        label = part.charset
        if part.type == HTML and (label is None or label.lower() in charsets.UNDECLARED):
            label = charsets.declared_in_html(data)
        text, known = charsets.decode(data, label, cut=cut)
        if not known:
            self._note(
                f"The charset {words.one_line(label or '')[:40]} is not known here: some characters may be wrong."
            )
        if part.encoding not in KNOWN:
            self._note(
                f"The encoding {words.one_line(part.encoding)[:40]} is not known here: a part is shown as it is."
            )
        text = _NEWLINE.sub("\n", text)
        if part.flowed and part.type == PLAIN:
            text = unwrapped(text, delsp=part.delsp)
        return f"{text}\n{_NEWLINE.sub(chr(10), charsets.decode(footer, None).text)}" if footer else text

    def _bytes(self, part: Part) -> tuple[bytes, bytes, bool]:
        """What a part decodes to, as far as there is room; what stands behind its base64; whether it was cut."""
        end, footer = part.end, b""
        if part.encoding == "base64":
            end = self._end_of_base64(part)
            footer = self._source.read(end, min(part.end, end + MAX_FOOTER_BYTES)).strip()
        data = bytearray()
        for piece in decoded(windows(self._source, part.start, end), part.encoding):
            data += piece
            if len(data) > self._room:
                break
        cut = len(data) > self._room
        if cut:
            self._note(f"Only the first {MAX_TEXT_BYTES // 1024} kB of the text are shown.")
            del data[self._room :]
            footer = b""
        self._room -= len(data)
        return bytes(data), footer, cut

    def _end_of_base64(self, part: Part) -> int:
        for place in range(part.start, min(part.end, part.start + 2 * self._room + WINDOW), WINDOW):
            piece = self._source.read(place, min(place + WINDOW, part.end))
            end = end_of_base64(piece)
            if end < len(piece):
                return place + end
        return part.end

    def _note(self, note: str) -> None:
        self._notes[note] = None


def _attachment(source: Source, part: Part) -> Attachment:
    name, message = part.name, part.type in MESSAGE
    size = part.end - part.start
    if message and not name and part.encoding in PLAIN_ENCODINGS:
        head = structure_of(source, part.start, part.end, 0).head
        name = words.shown(words.text_of(head.get("subject")))
    if part.encoding == "base64":
        size = size * 3 // 4
    return Attachment(part.number, name or words.shown(part.type), words.shown(part.type), size, message)


def _left_out(structure: Structure, layout: Layout) -> Iterator[str]:
    if structure.cut:
        yield "This mail has too many parts, or parts that are nested too deep: some are not shown."
    more = len(layout.attached) - MAX_ATTACHMENTS
    if more > 0:
        yield f"{more} more files are attached than the {MAX_ATTACHMENTS} listed."
