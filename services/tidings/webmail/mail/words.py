"""Field values as people read them: encoded words, parameters, names, dates (RFC 2047, 2231, 5322). Pure."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import mktime_tz, parseaddr, parsedate_tz
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from tidings.webmail.mail import charsets, transfer

SHOWN_CHARS: Final = 1000
"""How much of a field is shown."""
MAX_PARAMETERS: Final = 100

_FOLD: Final = re.compile(r"\r*\n(?=[ \t])|[\r\n]+")
# A charset, a language that nobody needs (RFC 2231 section 5), an encoding, a text; blanks and question marks in the
# text are not allowed and sent. Another beginning ends a text: each would be looked through to the end of the field.
_WORD: Final = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]{0,60})?\?([bBqQ])\?((?:[^?=]|\?(?!=)|=(?!\?(?!=)))*+)\?=")
_CONTROL: Final = re.compile("[\\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# They would turn around what follows: exe.txt of "\u202etxt.exe". A mark (U+200E, U+200F) turns nothing.
_OVERRIDE: Final = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff]")
_PARAMETER: Final = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"?|[^;]*+)', re.DOTALL)
_SECTION: Final = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*)?")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"?', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MAIN_END: Final = re.compile(r"[;(\s]")
_MAILBOX: Final = re.compile(r'\s*+((?:"(?:[^"\\]|\\.)*+"|[^"<])*+)<([^<>]*)>', re.DOTALL)
_COMMENT: Final = re.compile(r"\([^()]*+\)")
_ZONE_COLON: Final = re.compile(r"([+-]\d\d):(\d\d)$")
_FRACTION: Final = re.compile(r"(?<=:\d\d)[.,]\d+")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]")
_FROM_GREENWICH: Final = re.compile(r"\b(?:GMT|UTC?)([+-])(\d\d)(\d\d)$", re.IGNORECASE)
# Those that RFC 5322 has are known to the standard library; every other counts as UTC there (section 4.3).
_ZONES: Final = {"cet": 1, "met": 1, "cest": 2, "mest": 2, "bst": 1, "west": 1, "eet": 2, "eest": 3, "msk": 3, "jst": 9}


def text_of(raw: bytes, charset: str | None = None) -> str:
    """A field's value as one line of text that is still encoded.

    Characters of 8 bits that are no UTF-8 are those of the charset, which the mail names for its text, or of Windows.
    """
    return _FOLD.sub("", charsets.decode(raw, None, otherwise=charset).text)


def shown(text: str) -> str:
    """On one line, encoded words decoded; cut with an ellipsis.

    No control character stays, and nothing that turns the order of what follows. What is merely unknown to this
    interpreter's tables does, and so do the joiners that emoji and Persian need.
    """
    line = one_line(decode_words(text))
    return line if len(line) <= SHOWN_CHARS else f"{line[: SHOWN_CHARS - 1]}…"


def one_line(text: str) -> str:
    """Without control characters and line breaks."""
    return _CONTROL.sub(" ", _OVERRIDE.sub("", text)).strip()


def decode_words(text: str) -> str:
    """With its encoded words decoded (RFC 2047).

    Words that follow each other are decoded as one where their charset is the same: many mailers cut within a
    character.
    """
    pieces: list[str] = []
    place = 0
    charset: str | None = None
    data = b""
    for word in _WORD.finditer(text):
        between = text[place : word.start()]
        follows = charset is not None and not between.strip()
        if charset is not None and not (follows and word[1].lower() == charset):
            pieces.append(charsets.decode(data, charset).text)
            data = b""
        if not follows:
            pieces.append(between)
        place, charset = word.end(), word[1].lower()
        data += _word_bytes(word[2], word[3])
    if charset is not None:
        pieces.append(charsets.decode(data, charset).text)
    pieces.append(text[place:])
    return "".join(pieces)


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode()
    return transfer.from_base64(data) if encoding in "bB" else binascii.a2b_qp(data, header=True)


def sender_name(text: str) -> str:
    """Who a From field names first: by name, else by address, else whatever it says."""
    text = text[:SHOWN_CHARS]
    found = _MAILBOX.match(text)
    # A comma without quotes around it is part of a name, unless an address is before it.
    if found is not None and "@" not in _QUOTED.sub("", found[1]):
        name, address = found[1], found[2]
    else:
        name, address = _first_address(text)
    return shown(_QUOTED.sub(_unquoted, name)) or (shown(address) if "@" in address else shown(text))


def _first_address(text: str) -> tuple[str, str]:
    try:
        return parseaddr(text)
    except RecursionError:
        # A thousand comments within each other.
        return "", ""


def date_of(text: str) -> float | None:
    """When a mail was written, as its author claims, in Unix seconds.

    Also in obsolete forms (RFC 5322 section 4.3), and as ISO 8601 has it.
    """
    text = _COMMENT.sub(" ", text[:SHOWN_CHARS])
    text = _ZONE_COLON.sub(r"\1\2", ":".join(part.strip() for part in text.split(":")))
    try:
        if _ISO.match(text):
            written = datetime.fromisoformat(text)
            return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
        parsed = parsedate_tz(_FRACTION.sub("", text))
        if parsed is None:
            return None
        year = parsed[0] + 1900 if 100 <= parsed[0] < 1000 else parsed[0]
        zone = parsed[9] or _zone(text)
        return float(mktime_tz((year, *parsed[1:9], zone)))
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def _zone(text: str) -> int:
    """Seconds east of Greenwich, of a zone that the standard library does not know; 0 where nobody does."""
    east = _FROM_GREENWICH.search(text)
    if east is not None:
        seconds = int(east[2]) * 3600 + int(east[3]) * 60
        return -seconds if east[1] == "-" else seconds
    return _ZONES.get(text.split()[-1].lower(), 0) * 3600


class Value(NamedTuple):
    """A field with parameters: what it says before them, in lower case, and those, by lower-case name."""

    main: str
    parameters: Mapping[str, str]


def read_value(text: str) -> Value:
    """A Content-Type or Content-Disposition (RFC 2045 section 5.1, RFC 2231), also with encoded words in a value."""
    parameters: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for found in islice(_PARAMETER.finditer(text), MAX_PARAMETERS):
        section = _SECTION.fullmatch(found[1])
        value = _QUOTED.sub(_unquoted, found[2].strip())
        if section is None or not (section[2] or section[3]):
            parameters.setdefault(found[1].lower(), decode_words(value))
        else:
            numbered = sections.setdefault(section[1].lower(), {})
            numbered.setdefault(int(section[2] or 0), (section[3] is not None, value))
    parameters |= {name: _joined(numbered) for name, numbered in sections.items()}
    return Value(_MAIN_END.split(text.strip(), maxsplit=1)[0].lower(), parameters)


def _joined(numbered: Mapping[int, tuple[bool, str]]) -> str:
    """A value in sections (RFC 2231 section 3), of which the first may say the charset of those that are encoded."""
    charset = None
    data = b""
    for number in sorted(numbered):
        encoded, value = numbered[number]
        if encoded and charset is None:
            charset, _, value = value.partition("'")
            value = value.partition("'")[2]
        data += unquote_to_bytes(value) if encoded else value.encode()
    return charsets.decode(data, charset).text


def _unquoted(quoted: re.Match[str]) -> str:
    return _ESCAPED.sub(r"\1", quoted[1])
