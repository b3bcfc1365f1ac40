"""Content-Transfer-Encoding (RFC 2045 section 6) undone, a piece at a time. Pure."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

PLAIN_ENCODINGS: Final = frozenset(("", "7bit", "8bit", "binary"))
KNOWN: Final = PLAIN_ENCODINGS | {"base64", "quoted-printable"}

MAX_PADDED: Final = 1000

_DIGITS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NO_BASE64: Final = bytes(byte for byte in range(256) if byte not in _DIGITS)
# A character that base64 has not, or a blank within a line, as between words.
_NO_BASE64_LINE: Final = re.compile(rb"[^A-Za-z0-9+/=\s]|[A-Za-z0-9+/=][ \t]++[A-Za-z0-9+/=]")
_SOFT_BREAK: Final = re.compile(rb"=[ \t]*\r?\Z")


def decoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """What the pieces decode to, in pieces. What is no base64 between base64 is left out (RFC 2045 section 6.8)."""
    if encoding == "base64":
        return _from_base64(pieces)
    if encoding == "quoted-printable":
        return _from_quoted_printable(pieces)
    return iter(pieces)


def from_base64(data: bytes) -> bytes:
    """Base64, also without its padding."""
    return b"".join(_from_base64([data]))


def end_of_base64(data: bytes) -> int:
    """Where the lines end that are base64.

    A list server that puts its footer under a mail does not always look how the mail is encoded.
    """
    found = _NO_BASE64_LINE.search(data)
    if found is None:
        return len(data)
    return max(data.rfind(b"\n", 0, found.start() + 1), data.rfind(b"\r", 0, found.start() + 1)) + 1


def _from_base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        digits = rest + piece.translate(None, _NO_BASE64)
        # Padding ends what was encoded at once; some encode by pieces. Nobody pads that often.
        *padded, digits = digits.split(b"=") if digits.count(b"=") <= MAX_PADDED else [digits.replace(b"=", b"")]
        for ended in padded:
            yield _last_of_base64(ended)
        whole = len(digits) // 4 * 4
        rest = digits[whole:]
        yield binascii.a2b_base64(digits[:whole])
    yield _last_of_base64(rest)


def _last_of_base64(digits: bytes) -> bytes:
    """Without its padding. One digit alone is less than a byte."""
    loose = len(digits) % 4
    return binascii.a2b_base64(digits[:-1] if loose == 1 else digits + b"=" * (-loose % 4))


def _from_quoted_printable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = rest + piece
        # To be decoded with what follows: the last line; of one that is longer than any should be, half a character.
        equals = data.rfind(b"=", max(0, len(data) - 2))
        end = data.rfind(b"\n") + 1 or (equals if equals >= 0 else len(data))
        rest = data[end:]
        yield binascii.a2b_qp(data[:end])
    yield binascii.a2b_qp(_SOFT_BREAK.sub(b"", rest))
