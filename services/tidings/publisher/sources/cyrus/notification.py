"""What comes over the notify socket of Cyrus IMAP, in both of its formats (notify.c of Cyrus). Pure.

A datagram is fields that each end in a zero byte: method, class, priority, user, mailbox, the number of options, the
options, the message and, at times, the path of a file. With `notifysocket: dlist:PATH` it is a connection for each
notification, with one line that is answered: `NOTIFY %(METHOD external CLASS EVENT ... MESSAGE {422+}` and so on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tidings.errors import NotificationError

MAX_BYTES: Final = 1024 * 1024
"""Of a notification. Cyrus sends at most 8 KiB as a datagram, and has no bound over a connection."""
MAX_OPTIONS: Final = 99
MAX_TOKENS: Final = 256
MAX_DEPTH: Final = 4
ANSWER: Final = b"OK ()\r\n"
"""To a line. Cyrus waits for one, whatever it says."""

_COUNT = re.compile(rb"[0-9]{1,2}")
_TOKEN = re.compile(rb'\{([0-9]{1,7})\+?\}\r?\n|"((?:[^"\\\r\n]|\\[^\r\n])*)"|%?\(|\)|\r?\n| +|([^\s"(){}%\\]+)')
_ESCAPED = re.compile(rb"\\(.)")
_MAX_LITERAL_HEAD: Final = len(b"{1234567+}\r\n")


class Notification(NamedTuple):
    """A notification: its class, "EVENT" for those that this is about, and its message."""

    kind: bytes
    message: bytes


def read_datagram(data: bytes) -> Notification:
    """The notification that a datagram is. Raises NotificationError."""
    fields = data.split(b"\0", 8 + MAX_OPTIONS)
    if len(fields) < 6 or not _COUNT.fullmatch(fields[5]):
        raise NotificationError("a datagram without the number of its options")
    place = 6 + int(fields[5])
    # What is behind the last zero byte is no field.
    if place >= len(fields) - 1:
        raise NotificationError("a datagram without its message")
    return Notification(fields[1], fields[place])


class LineReader:
    """Reads one line, in the pieces in which it comes."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self._tokens = 0
        self._depth = 0
        self._words: list[bytes | None] = []
        """The line's name, then the names and values of its list: None for a value that is a list."""

    @property
    def began(self) -> bool:
        """Whether anything has come at all."""
        return bool(self._data)

    def feed(self, data: bytes) -> Notification | None:
        """The notification, once its line has ended. Raises NotificationError for what cannot become one."""
        self._data += data
        if len(self._data) > MAX_BYTES:
            raise NotificationError(f"a line of more than {MAX_BYTES} bytes")
        while (ended := self._advance()) is not None:
            if ended:
                return self._notification()
        return None

    def _advance(self) -> bool | None:
        """Read a token: whether it ended the line. None: it is not all there yet."""
        found = _TOKEN.match(self._data, self._at)
        if found is None:
            self._check_unfinished()
            return None
        end = found.end()
        length, quoted, word = found.groups()
        if word is not None and end == len(self._data):
            return None
        if length is not None:
            end += int(length)
            if end > len(self._data):
                return None
            self._take(self._data[found.end() : end])
        elif quoted is not None:
            self._take(_ESCAPED.sub(rb"\1", quoted))
        elif word is not None:
            self._take(word)
        elif self._take_mark(found.group()):
            return True
        self._at = end
        self._tokens += 1
        if self._tokens > MAX_TOKENS:
            raise NotificationError(f"a line of more than {MAX_TOKENS} parts")
        return False

    def _check_unfinished(self) -> None:
        """Raise unless more bytes may make a token of what is left."""
        rest = self._data[self._at : self._at + _MAX_LITERAL_HEAD + 1]
        if rest in (b"", b"%", b"\r") or rest[:1] == b'"':
            return
        if rest[:1] == b"{" and len(rest) < _MAX_LITERAL_HEAD and not rest.strip(b"{}+\r0123456789"):
            return
        raise NotificationError("a line that is not a dlist")

    def _take(self, word: bytes) -> None:
        if self._depth <= 1:
            self._words.append(word)

    def _take_mark(self, mark: bytes) -> bool:
        """Take what is no word; whether it ended the line."""
        if mark in (b"(", b"%("):
            if self._depth == 1:
                self._words.append(None)
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise NotificationError(f"a line with more than {MAX_DEPTH} nested lists")
        elif mark == b")":
            if not self._depth:
                raise NotificationError("a line with a list that ends before it begins")
            self._depth -= 1
        elif mark.endswith(b"\n"):
            if self._depth:
                raise NotificationError("a line with a list that does not end")
            return True
        return False

    def _notification(self) -> Notification:
        name, *rest = self._words or [None]
        members = dict(zip(rest[::2], rest[1::2], strict=False))
        kind, message = members.get(b"CLASS"), members.get(b"MESSAGE")
        if name != b"NOTIFY" or kind is None or message is None:
            raise NotificationError("a line that is not a NOTIFY with a class and a message")
        return Notification(kind, message)
