"""Bytes of a mail to text: by the charset that the mail names, as the web reads it, else by what the bytes are. Pure.

Labels and supersets are those of the WHATWG Encoding Standard, from the library webencodings; the codecs are Python's.
Only charsets of this list are used: Python knows codecs that take minutes for a megabyte.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import Final, NamedTuple, cast

import webencodings

UNDECLARED: Final = frozenset(
    ("", "us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us", "unknown-8bit", "x-unknown", "unknown", "8bit", "binary")
)
"""Labels that say nothing of the bytes above 127. The web takes us-ascii for windows-1252; in mail it may be UTF-8."""

# What mail has and the web has given up, or knows by fewer names.
_MAIL: Final = {
    "utf-7": "utf-7",
    "unicode-1-1-utf-7": "utf-7",
    "iso-2022-jp": "iso2022_jp_ext",
    "hz-gb-2312": "hz",
    "hz": "hz",
    "iso-2022-kr": "iso2022_kr",
    "csiso2022kr": "iso2022_kr",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "ms936": "gb18030",
    "windows-936": "gb18030",
    "cp932": "cp932",
    "windows-932": "cp932",
    "cp949": "cp949",
    "cp950": "big5hkscs",
    "windows-950": "big5hkscs",
    "cp874": "cp874",
    "cp437": "cp437",
    "ibm437": "cp437",
    "cp850": "cp850",
    "ibm850": "cp850",
    "cp852": "cp852",
    "ibm852": "cp852",
    "cp858": "cp858",
    "iso8859_1": "cp1252",
    "utf8mb4": "utf-8",
    "utf": "utf-8",
}
_LABEL_END: Final = re.compile(r"[(*;\s]")
_WINDOWS: Final = re.compile(r"^(?:cp|win|windows)[-_]?(?=\d)")
_JAPANESE: Final = re.compile(rb"\x1b(?:\$[@B]|\([JI])")
_CLEAR_HIGH_BIT: Final = bytes(byte & 0x7F for byte in range(256))
_JAPANESE_CODECS: Final = ("iso2022_jp_ext", "euc_jp")
_VENDORS: Final = "tidings.vendors"
PIECE: Final = 64 * 1024
PIECE_FAULTS: Final = 100
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*+=\s*+[\"']?\s*+([\w.:-]{1,40})", re.IGNORECASE)
META_BYTES: Final = 2048
"""How far into a document its author may declare the charset."""


class Decoded(NamedTuple):
    """A text; `known` is False where the mail names a charset that is none of the list."""

    text: str
    known: bool


def decode(data: bytes, label: str | None, *, cut: bool = False, otherwise: str | None = None) -> Decoded:
    """The text that the bytes are. `cut`: they may end within a character.

    `otherwise` is the label of what they may be, where they look like nothing else.

    Never fails: what is no character of the charset becomes U+FFFD.
    """
    name = _clean(label or "")
    codec = _by_mark(data) or _codec(name)
    known = codec is not None or name in UNDECLARED
    codec = codec or _sniffed(data, cut=cut) or _codec(_clean(otherwise or "")) or "cp1252"
    return Decoded(_printable(_decoded(data, codec, cut=cut)), known)


def declared_in_html(data: bytes) -> str | None:
    """The charset that an HTML document names in its head."""
    found = _META.search(data[:META_BYTES])
    if found is None:
        return None
    label = found[1].decode("ascii", "replace")
    # It could be read as bytes of one, two or four to a character only by who knew already.
    return "utf-8" if label.lower().startswith("utf-") else label


def _clean(label: str) -> str:
    """A label without what mailers put around it: quotes, comments, a language (RFC 2231 section 5)."""
    return _LABEL_END.split(label.strip(" \t\"'"), maxsplit=1)[0].rstrip("\"'").lower()


def _by_mark(data: bytes) -> str | None:
    """The codec that a byte order mark shows, which beats every label."""
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return None


def _codec(name: str) -> str | None:
    """The codec for a label, or None."""
    if name in UNDECLARED:
        return None
    return _MAIL.get(name) or next(filter(None, map(_web, (name, name.replace("_", "-"), _as_windows(name)))), None)


def _as_windows(name: str) -> str:
    return _WINDOWS.sub("windows-", name)


def _web(label: str) -> str | None:
    encoding = webencodings.lookup(label)
    # What the web has given up for its sake, and what only scripts can mean.
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        return None
    return _MAIL.get(encoding.name) or encoding.codec_info.name


def _sniffed(data: bytes, *, cut: bool) -> str | None:
    """The codec that bytes look like which nobody has named one for."""
    if _JAPANESE.search(data):
        return "iso2022_jp_ext"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, not cut)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _decoded(data: bytes, codec: str, *, cut: bool) -> str:
    decoder = codecs.getincrementaldecoder(codec)(_VENDORS if codec in _JAPANESE_CODECS else "replace")
    text = []
    for start in range(0, len(data), PIECE):
        text.append(decoder.decode(data[start : start + PIECE]))
        if text[-1].count("\ufffd") > PIECE_FAULTS:
            # It is no Japanese, and asking for each fault takes a microsecond.
            decoder.errors = "replace"
    text.append(decoder.decode(b"", not cut))
    return "".join(text)


def _vendors_character(error: UnicodeError) -> tuple[str, int]:
    """The character of JIS X 0208 that the vendors added where Python's codec knows none (WHATWG index jis0208)."""
    # Only decoders ask here.
    error = cast("UnicodeDecodeError", error)
    pair = error.object[error.start : error.start + 2].translate(_CLEAR_HIGH_BIT)
    character = _vendors_characters().get(pair)
    return (character, error.start + 2) if character else ("\ufffd", error.end)


@cache
def _vendors_characters() -> dict[bytes, str]:
    """Rows 13 and 89 to 92 of JIS X 0208, by row and cell, as code page 932 has them."""
    characters = {}
    for row in (0x2D, *range(0x79, 0x7D)):
        lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
        for cell in range(0x21, 0x7F):
            trail = cell + 0x7E if row % 2 == 0 else cell + (0x1F if cell < 0x60 else 0x20)
            character = bytes((lead, trail)).decode("cp932", "ignore")
            if len(character) == 1:
                characters[bytes((row, cell))] = character
    return characters


codecs.register_error(_VENDORS, _vendors_character)


def _printable(text: str) -> str:
    """Without NUL and lone surrogates, neither of which can go any further."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
