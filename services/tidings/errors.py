"""The one error tree. Pure.

TidingsError
├── SettingsError              a flag, variable or file the operator has to change
├── WireError                  bytes from outside that do not mean what they should
│   ├── BatchError             a log entry that is no batch
│   ├── CursorError            a cursor that is none of ours
│   ├── KeysError              a key, or a set of keys, that no token can be verified with
│   ├── NotificationError      what came over the notify socket of Cyrus
│   └── EventError             an ingest request; carries the HTTP status and what is wrong where
├── MailboxError               the webmail's Maildir
│   ├── NoSuchMailbox          the account has none
│   ├── NoSuchMessage          no message of this id, or not any more
│   └── StorageFault           the file system did not do it: no permission, no room
├── UpstreamFault              the JMAP server behind this gateway; carries the HTTP status that says how it failed
├── Overloaded                 a bounded pool is full: the same request may succeed later
├── CheckFailed                what `tidings check` found wrong; the text is one line
│   └── CheckRefused           a refusal that the same request meets again
├── ImapError                  an IMAP server that does not do what a listener needs; carries the reason
├── LogError                   the change log
│   ├── LogUnavailable         no connection, or not confirmed in time: nothing is known to be stored
│   ├── LogFull                a bounded queue in front of the log is full
│   ├── SpoolUnavailable       the spool's file cannot be read or written: whatever the log does
│   └── ReadLost               a reader was cut off and has to attach again
├── SourceAway                 a mail storage that a source watches cannot be reached, or does not do its part
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


class NotificationError(WireError):
    """What came over the notify socket of Cyrus and is no notification, or one whose event says nothing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in an ingest request.

    `event` is the index of the event in the request, 0 for a single event. No index: the whole request is wrong.
    `field` is the dotted path of the member, or "" for the event itself.
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


class StorageFault(MailboxError):
    """The file system did not do what was asked; the text says why. `code` is the HTTP status for it."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the mail storage refused this request: {error.strerror or error}")
        self.code = 403 if isinstance(error, PermissionError) else 503


class UpstreamFault(TidingsError):
    """The JMAP server behind this gateway gave no answer that could be used. `code` is the HTTP status for that.

    The text is for clients: it says nothing of where that server is.
    """

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Overloaded(TidingsError):
    """A bounded pool is full; nothing was begun."""


class CheckFailed(TidingsError):
    """An installation does not do what it should; the text is one line that says what."""


class CheckRefused(CheckFailed):
    """A request that is not taken, and will not be when it is repeated."""


class ImapError(TidingsError):
    """An IMAP server that cannot be listened to, or not any more. `reason` is a metric label; the text is one line.

    The reasons: `away` (no connection, or it ended), `login` (refused), `limit` (of the server, met), `protocol` (said
    what means nothing, or too much of it), `unfit` (has nothing that a listener could use).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class LogError(TidingsError):
    """The change log did not do what was asked."""


class LogUnavailable(LogError):
    """The log is away or did not confirm in time; the entry may or may not appear later."""


class LogFull(LogError):
    """The bounded queue in front of the log is full; nothing was taken."""


class SpoolUnavailable(LogError):
    """The spool's file cannot be read or written; an entry may or may not be in it. Says nothing of the log."""


class ReadLost(LogError):
    """A reader was cut off (connection gone, cancelled by the broker) and has to attach again."""


class SourceAway(TidingsError):
    """A mail storage that a source watches cannot be reached, or does not do its part; the text is one line."""


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
