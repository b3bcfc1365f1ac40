"""What a response of an IMAP server means to a listener. Pure.

Only what is of use is parsed; of the rest no more is known than that it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imapclient.exceptions import ProtocolError
from imapclient.response_parser import parse_response

from tidings.errors import ImapError
from tidings.publisher.sources.imap.framing import Record

CONDITIONS: Final = (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH")
TOUCHED: Final = (b"EXISTS", b"EXPUNGE", b"FETCH")
MAX_NUMBER: Final = 2**63 - 1
"""RFC 7162 section 3.1: the largest modification sequence."""
_SHOWN: Final = 200
# IMAPClient takes a bracket for the start of a section, as in BODY[TEXT]. Dovecot sends the mailbox a[b as that atom.
_HIDDEN: Final = bytes.maketrans(b"[]", b"\xfe\xff")
_SHOWN_AGAIN: Final = bytes.maketrans(b"\xfe\xff", b"[]")


@dataclass(frozen=True, slots=True)
class Condition:
    """OK, NO, BAD, BYE or PREAUTH. `tag` is None for one that ends no command; `code` is what is in brackets."""

    tag: bytes | None
    status: bytes
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """The server waits for more of a command, or idles."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server can do, in upper case."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Status:
    """Some numbers of a mailbox: those of `FIELDS` that the server gave, by their names in lower case."""

    mailbox: bytes
    numbers: dict[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox that there is, or (attribute `\\NONEXISTENT`) is not any more. Attributes are in upper case."""

    mailbox: bytes
    attributes: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Touched:
    """Something happened to the selected mailbox; `kind` is EXISTS, EXPUNGE, FETCH or VANISHED."""

    kind: bytes


@dataclass(frozen=True, slots=True)
class Other:
    """Of no use to a listener."""


Response = Condition | Continuation | Capabilities | Status | Listed | Touched | Other

FIELDS: Final = {
    b"MESSAGES": "messages",
    b"UIDNEXT": "uidnext",
    b"UIDVALIDITY": "uidvalidity",
    b"UNSEEN": "unseen",
    b"HIGHESTMODSEQ": "modseq",
}
"""What STATUS is asked for (RFC 9051 section 6.3.11, RFC 7162 section 3.1.7), and what it is called here."""


def read(record: Record) -> Response:
    """Raises ImapError (protocol) for what no server of IMAP says."""
    first = record[0]
    line = first if isinstance(first, bytes) else first[0]
    tag, _, rest = line.partition(b" ")
    if tag == b"+":
        return Continuation()
    word, _, text = rest.partition(b" ")
    kind = word.upper()
    if kind in CONDITIONS:
        return _condition(None if tag == b"*" else tag, kind, text)
    if tag != b"*":
        raise ImapError("protocol", f"the server sent a line that is not an IMAP response: {shown(line)!r}")
    if kind.isdigit():
        touched = text.partition(b" ")[0].upper()
        return Touched(touched) if touched in TOUCHED else Other()
    match kind:
        case b"VANISHED":
            return Touched(kind)
        case b"CAPABILITY":
            return Capabilities(capabilities(text.decode("ascii", "replace")))
        case b"STATUS":
            return _status(_tokens(record), line)
        case b"LIST":
            return _listed(_tokens(record), line)
    return Other()


def capabilities(text: str) -> frozenset[str]:
    """The capabilities in a response, or in the code of one."""
    return frozenset(text.upper().split())


def shown(line: bytes | str) -> str:
    """As much of what a server said as a log has room for, in one line."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    cut = text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")
    return "".join(character if character.isprintable() else "?" for character in cut)


def _condition(tag: bytes | None, status: bytes, text: bytes) -> Condition:
    said = text.decode("utf-8", "replace")
    code = ""
    if said.startswith("["):
        code, _, said = said[1:].partition("]")
    return Condition(tag, status, code, said.strip())


def _tokens(record: Record) -> tuple[object, ...]:
    hidden = [
        part.translate(_HIDDEN) if isinstance(part, bytes) else (part[0].translate(_HIDDEN), part[1]) for part in record
    ]
    try:
        return parse_response(hidden)  # type: ignore[no-any-return]  # its package has no types
    except (ProtocolError, RecursionError):
        first = record[0]
        raise _unreadable(first if isinstance(first, bytes) else first[0]) from None


def _status(tokens: tuple[object, ...], line: bytes) -> Status:
    match tokens:
        case (_, _, name, tuple(pairs)) if len(pairs) % 2 == 0:
            numbers = {}
            for item, number in zip(pairs[::2], pairs[1::2], strict=True):
                field = FIELDS.get(item.upper()) if isinstance(item, bytes) else None
                if field is None:
                    continue
                if not isinstance(number, int) or number > MAX_NUMBER:
                    raise _unreadable(line)
                numbers[field] = number
            return Status(_mailbox(name, line), numbers)
    raise _unreadable(line)


def _listed(tokens: tuple[object, ...], line: bytes) -> Listed:
    match tokens:
        case (_, _, tuple(attributes), _, name, *_):
            named = frozenset(each.upper() for each in attributes if isinstance(each, bytes))
            return Listed(_mailbox(name, line), named)
    raise _unreadable(line)


def _mailbox(name: object, line: bytes) -> bytes:
    """A mailbox's name as the server has it. INBOX is the same in any case (RFC 9051 section 5.1)."""
    match name:
        case bytes():
            plain = name.translate(_SHOWN_AGAIN)
            return b"INBOX" if plain.upper() == b"INBOX" else plain
        case int():
            return str(name).encode()
        case None:
            return b"NIL"
    raise _unreadable(line)


def _unreadable(line: bytes) -> ImapError:
    return ImapError("protocol", f"the server sent a response that cannot be read: {shown(line)!r}")
