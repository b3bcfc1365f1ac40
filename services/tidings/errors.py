"""The one error tree.

TidingsError
├── SettingsError              a flag, variable or file the operator has to change
├── WireError                  bytes from outside that do not mean what they should
│   ├── BatchError             a log entry that is no batch
│   ├── CursorError            a cursor that is none of ours
│   ├── KeysError              a key, or a set of keys, that no token can be verified with
│   └── EventError             an ingest request; carries the HTTP status and what is wrong where
├── MailboxError               the webmail's Maildir
│   ├── NoSuchMailbox          the account has none
│   └── NoSuchMessage          no message of this id, or not any more
├── Overloaded                 a bounded pool is full: the same request may succeed later
├── CheckFailed                what `tidings check` found wrong; the text is one line
├── LogError                   the change log
│   ├── LogUnavailable         no connection, or not confirmed in time: nothing is known to be stored
│   ├── LogFull                a bounded queue in front of the log is full
│   └── ReadLost               a reader was cut off and has to attach again
└── ClientError                a client that gets an HTTP status or a WebSocket close code
    ├── RequestRejected        before the upgrade: carries the HTTP status
    └── ConnectionFailed       after it: carries the close code (RFC 6455 section 7.4)
"""

from __future__ import annotations

from dataclasses import dataclass


class TidingsError(Exception):
    """Anything Tidings raises on purpose."""


class SettingsError(TidingsError):
    """A flag, environment variable or file that the operator has to change; the text is one line."""


class WireError(TidingsError):
    """Bytes from outside that do not mean what they should."""


class BatchError(WireError):
    """A log entry that does not decode to a batch."""


class CursorError(WireError):
    """A cursor that this version did not write."""


class KeysError(WireError):
    """A key, or a set of keys, that no token can be verified with; the text goes on from its name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in an ingest request.

    `event` is the index of the event in the request (0 for a single event), or None when the request as a
    whole is meant; `field` is the dotted path of the member, or "" for the event itself.
    """

    event: int | None
    field: str
    detail: str


class EventError(WireError):
    """An ingest request that is refused as a whole. `status` is the HTTP status that says why."""

    def __init__(self, status: int, detail: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = problems


class MailboxError(TidingsError):
    """The webmail's Maildir does not have what was asked for."""


class NoSuchMailbox(MailboxError):
    """The account has no Maildir."""


class NoSuchMessage(MailboxError):
    """No message of this id, or not any more."""


class Overloaded(TidingsError):
    """A bounded pool is full; nothing was begun."""


class CheckFailed(TidingsError):
    """An installation does not do what it should; the text is one line that says what."""


class LogError(TidingsError):
    """The change log did not do what was asked."""


class LogUnavailable(LogError):
    """The log is away or did not confirm in time; the entry may or may not appear later."""


class LogFull(LogError):
    """The bounded queue in front of the log is full; nothing was taken."""


class ReadLost(LogError):
    """A reader was cut off (connection gone, cancelled by the broker) and has to attach again."""


class ClientError(TidingsError):
    """A client did something that ends its request or connection. `reason` is a metric label."""

    def __init__(self, code: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.reason = reason
        self.detail = detail


class RequestRejected(ClientError):
    """Answered with the HTTP status `code` before any upgrade; `retry_after` in seconds goes with 429 and 503."""

    def __init__(self, code: int, reason: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(code, reason, detail)
        self.retry_after = retry_after

    @property
    def fields(self) -> dict[str, str]:
        """The header fields that its status asks for."""
        fields = {"WWW-Authenticate": "Bearer"} if self.code == 401 else {}
        if self.retry_after is not None:
            fields["Retry-After"] = str(self.retry_after)
        return fields


class ConnectionFailed(ClientError):
    """Closed with the WebSocket close code `code` (RFC 6455 section 7.4)."""
