"""The name of a Maildir file: which message it is, and with which flags. Pure.

A name is `unique`, then what other programs know of the file (`,S=18` its size, `,U=7` a number of mbsync's, more of
the kind), then `:2,` and the flags (https://cr.yp.to/proto/maildir.html). Programs add and change all but the first
part at any time, and users move files between folders, so a message is known by the first part alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

MAX_FOLDER_DEPTH: Final = 10
"""How many directories deep below its account a folder is looked for."""

_COLON: Final = b":"
_OTHERS: Final = (b";", b"!")
"""What stands for the colon on file systems that have none in names."""
_VERSION: Final = b"2,"
_OF_A_FOLDER: Final = frozenset([b"new", b"cur", b"tmp"])


class MailFile(NamedTuple):
    """What a file's name says. `flags` are sorted, one character each."""

    unique: bytes
    flags: str


def read(name: bytes) -> MailFile:
    """Any name has a meaning. Flags that were written twice (`1;2,S:2,FS`) are those written last."""
    base, _, info = _parts(name)
    return MailFile(_unique(base), _flags(info)[0])


def with_flags(name: bytes, flags: str) -> bytes:
    """The name that the file has with other flags, written as it has them already, and once."""
    base, separator, info = _parts(name)
    ordered = "".join(sorted(set(flags))).encode("ascii")
    return base + (separator or _COLON) + _VERSION + ordered + _flags(info)[1]


def may_be_folder(name: bytes, depth: int) -> bool:
    """Whether a directory of this name may be a folder, `depth` directories below its account (1: in its own).

    Folders are `.Name` beside the inbox's own directories (Maildir++), or `Name` and further ones in it (Dovecot's
    LAYOUT=fs).
    """
    return depth <= MAX_FOLDER_DEPTH and name not in _OF_A_FOLDER and (depth == 1 or not name.startswith(b"."))


def _parts(name: bytes) -> tuple[bytes, bytes, bytes]:
    """What is before all flags, what separates the last ones, and those with their version."""
    base, separator, info = _split(name)
    again = separator
    while again and _VERSION in base:
        base, again, _ = _split(base)
    return base, separator, info


def _split(name: bytes) -> tuple[bytes, bytes, bytes]:
    """Before flags, what separates them, and the flags with their version. No unique name has a colon."""
    base, colon, info = name.partition(_COLON)
    if colon and base:
        return base, colon, info
    for other in _OTHERS:
        base, found, flags = name.rpartition(other + _VERSION)
        if found and base and (not flags or flags.isalpha()):
            return base, other, _VERSION + flags
    return name, b"", b""


@lru_cache(1024)
def _flags(info: bytes) -> tuple[str, bytes]:
    """The flags, and what the name has behind them. Few are different."""
    flags, comma, rest = info.removeprefix(_VERSION).partition(b",")
    known = flags.decode("ascii", "ignore") if info.startswith(_VERSION) else ""
    return "".join(sorted(set(known))), comma + rest


def _unique(base: bytes) -> bytes:
    """Without the fields that other programs have added. What is nothing but fields is a unique name."""
    parts = base.split(b",")
    kept = len(parts)
    while kept > 1 and parts[kept - 1].find(b"=") > 0:
        kept -= 1
    return b",".join(parts[:kept]) or base
