"""RFC 5322 messages: what the webmail shows of one, and the test mail it writes. Pure.

Everything here was written by strangers: whatever a message holds, reading it succeeds, and soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import compat32, default
from email.utils import format_datetime, make_msgid, parsedate_to_datetime
from typing import Final, TypeVar

SNIPPET_CHARS: Final = 140
HEADER_CHARS: Final = 1000
MAX_TEXT_CHARS: Final = 1_000_000
MAX_PARTS: Final = 1000
MAX_ATTACHMENTS: Final = 100
LOCAL_DOMAIN: Final = "localhost"

# What the standard library's parser raises on messages that are malformed enough.
_MALFORMED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MessageError,
    RecursionError,
    TypeError,
    ValueError,
)
_PLAIN_ACCOUNT: Final = re.compile(r"([\w+-]+(?:\.[\w+-]+)*)(?:@([\w-]+(?:\.[\w-]+)*))?", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Summary:
    """A message's line in the list. `date` is what its author claims, in Unix seconds."""

    sender: str
    subject: str
    date: float | None
    snippet: str


@dataclass(frozen=True, slots=True)
class Content:
    """A message as it is read. `html` is as it came: hostile until sanitised."""

    sender: str
    to: str
    subject: str
    date: float | None
    text: str | None
    html: str | None
    attachments: tuple[str, ...]


def summary_of(head: bytes) -> Summary:
    """The list line of a message; its first few kilobytes are enough."""
    message = _parse(head)
    text = _text(_leaves(message), "plain") or ""
    return Summary(
        sender=_sender_name(message),
        subject=_header(message, "subject"),
        date=_date(message),
        snippet=_one_line(text[: SNIPPET_CHARS * 4])[:SNIPPET_CHARS],
    )


def content_of(raw: bytes) -> Content:
    """A whole message."""
    message = _parse(raw)
    leaves = _leaves(message)
    return Content(
        sender=_header(message, "from"),
        to=_header(message, "to"),
        subject=_header(message, "subject"),
        date=_date(message),
        text=_text(leaves, "plain"),
        html=_text(leaves, "html"),
        attachments=_attachments(leaves),
    )


def compose(sender: str, recipient: str, subject: str, text: str, at: datetime) -> bytes:
    """A plain text message from one account to another, with the line ends of a Maildir file.

    `subject` must be one line.
    """
    message = EmailMessage()
    message["From"] = address_of(sender)
    message["To"] = address_of(recipient)
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=LOCAL_DOMAIN)
    message.set_content(text)
    return message.as_bytes()


def address_of(account: str) -> Address:
    """An address for an account; an account that cannot be one becomes the display name of one."""
    plain = _PLAIN_ACCOUNT.fullmatch(account)
    if plain is None:
        return Address(account, "account", LOCAL_DOMAIN)
    return Address(account, plain[1], plain[2] or LOCAL_DOMAIN)


def _attempt(read: Callable[[], T], otherwise: T) -> T:
    try:
        return read()
    except _MALFORMED:
        return otherwise


def _parse(raw: bytes) -> Message:
    """The message, of which a multipart's first MAX_PARTS parts.

    Headers stay strings: as values of the structured kind they cost time that is quadratic in their length, and a
    few kilobytes of them hold a processor for seconds.
    """
    headers = BytesParser(policy=compat32).parsebytes(raw, headersonly=True)
    if headers.get_content_maintype() == "multipart":
        raw = b"\n--".join(raw.split(b"\n--", MAX_PARTS)[:MAX_PARTS])
    try:
        return BytesParser(policy=compat32).parsebytes(raw)
    except RecursionError:
        return headers


def _printable(text: str) -> str:
    """Without the lone surrogates that stand for undecodable bytes: they cannot be encoded again."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _one_line(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in _printable(text))
    return " ".join(shown.split())


def _raw_header(message: Message, name: str) -> str:
    """A header's beginning, unfolded (RFC 5322 section 2.2.3)."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name), "")
    return "".join(raw[:HEADER_CHARS].splitlines())


def _header(message: Message, name: str) -> str:
    """A header as people read it; as it was sent, where that fails."""
    raw = _raw_header(message, name)
    return _one_line(_attempt(lambda: str(default.header_factory(name, raw)), raw))


def _sender_name(message: Message) -> str:
    def name() -> str:
        first = default.header_factory("from", _raw_header(message, "from")).addresses[0]
        return str(first.display_name or first.addr_spec)

    return _one_line(_attempt(name, "")) or _header(message, "from")


def _date(message: Message) -> float | None:
    return _attempt(lambda: parsedate_to_datetime(_raw_header(message, "date")).timestamp(), None)


def _leaves(message: Message) -> list[Message]:
    def leaves() -> list[Message]:
        return [part for part in message.walk() if part.get_content_maintype() != "multipart"]

    return _attempt(leaves, [])


def _is_text(part: Message, subtype: str) -> bool:
    return part.get_content_type() == f"text/{subtype}" and part.get_content_disposition() != "attachment"


def _text(leaves: list[Message], subtype: str) -> str | None:
    return next((_decoded(part) for part in leaves if _is_text(part, subtype)), None)


def _decoded(part: Message) -> str:
    """A text part; in a charset nobody knows, what is UTF-8 of it."""
    payload: object = _attempt(lambda: part.get_payload(decode=True), None)
    body = payload if isinstance(payload, bytes) else b""
    charset = _attempt(part.get_content_charset, None) or "utf-8"
    text = _attempt(lambda: body.decode(charset, "replace"), None)
    if text is None:
        text = body.decode("utf-8", "replace")
    return _printable(text[:MAX_TEXT_CHARS].replace("\0", ""))


def _attachments(leaves: list[Message]) -> tuple[str, ...]:
    """The names of what is neither the text nor the HTML shown."""
    shown = {id(next((part for part in leaves if _is_text(part, kind)), None)) for kind in ("plain", "html")}
    rest = [part for part in leaves if id(part) not in shown]
    return tuple(
        _one_line(str(_attempt(part.get_filename, None) or part.get_content_type())[:HEADER_CHARS])
        for part in rest[:MAX_ATTACHMENTS]
    )
