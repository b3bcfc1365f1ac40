"""What to ask of a server, by what it says it can do, and how to log in. Pure."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final

from tidings.errors import ImapError
from tidings.publisher.sources.imap.accounts_file import Login
from tidings.publisher.sources.imap.framing import Record

_ITEMS: Final = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"
_EVENTS: Final = "MessageNew MessageExpunge FlagChange"
"""Without MailboxName and SubscriptionChange. A process of Dovecot 2.3.19 that tells of those takes the user's list of
mailboxes for corrupted when another one creates or renames a mailbox, and ends with a segmentation fault."""
_REV2: Final = frozenset({"LIST-EXTENDED", "LIST-STATUS", "ENABLE", "IDLE", "SASL-IR"})
"""What IMAP4rev2 includes (RFC 9051 appendix E)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Commands without tags. `statuses` is whether the answer to `listing` has the STATUS of every mailbox."""

    enable: bytes | None
    notify: bytes | None
    idle: bool
    listing: bytes
    statuses: bool
    items: str

    @property
    def idles(self) -> bool:
        """Whether the server tells of the selected mailbox, by IDLE."""
        return self.idle and self.notify is None

    def status(self, mailbox: bytes) -> bytes:
        """The question for one mailbox."""
        return b"STATUS %b (%b)" % (quoted(mailbox), self.items.encode())


def plan(capabilities: frozenset[str]) -> Plan:
    """The best that a server with these capabilities has."""
    can = capabilities | (_REV2 if "IMAP4REV2" in capabilities else frozenset())
    condstore = bool(can & {"CONDSTORE", "QRESYNC"})
    items = f"{_ITEMS} HIGHESTMODSEQ" if condstore else _ITEMS
    statuses = "LIST-STATUS" in can
    if statuses:
        listing = f'LIST "" "*" RETURN (SUBSCRIBED STATUS ({items}))'
    else:
        listing = 'LIST "" "*" RETURN (SUBSCRIBED)' if "LIST-EXTENDED" in can else 'LIST "" "*"'
    return Plan(
        b"ENABLE CONDSTORE" if condstore and "ENABLE" in can else None,
        f"NOTIFY SET (personal ({_EVENTS}))".encode() if "NOTIFY" in can else None,
        "IDLE" in can,
        listing.encode(),
        statuses,
        items,
    )


@dataclass(frozen=True, slots=True)
class Authentication:
    """A command that logs in.

    `initial` is what the server gets for its first continuation, `failed` what it gets for another one, which is the
    explanation of a failure. `secrets` is what no log may show of all this.
    """

    command: bytes = field(repr=False)
    initial: bytes | None = field(repr=False)
    failed: bytes
    secrets: tuple[str, ...] = field(repr=False)


def authentication(login: Login, capabilities: frozenset[str], host: str, port: int) -> Authentication:
    """How to log in. Raises ImapError (unfit) where the server has no way that fits."""
    if login.token:
        if "AUTH=OAUTHBEARER" in capabilities:
            # RFC 7628 section 3.1; the authorization identity is escaped as in RFC 5801 section 4.
            identity = login.user.replace("=", "=3D").replace(",", "=2C")
            message = f"n,a={identity},\1host={host}\1port={port}\1auth=Bearer {login.secret}\1\1"
            return _sasl("OAUTHBEARER", message, b64encode(b"\1"), login, capabilities)
        if "AUTH=XOAUTH2" in capabilities:
            message = f"user={login.user}\1auth=Bearer {login.secret}\1\1"
            return _sasl("XOAUTH2", message, b"", login, capabilities)
        raise ImapError("unfit", "the server takes no OAuth token: it has neither AUTH=OAUTHBEARER nor AUTH=XOAUTH2")
    if "AUTH=PLAIN" in capabilities:
        # RFC 4616: whose mailbox, who logs in, and the password.
        authorized = login.user if login.master else ""
        return _sasl("PLAIN", f"{authorized}\0{login.master or login.user}\0{login.secret}", b"*", login, capabilities)
    if login.master:
        raise ImapError("unfit", "the server takes no master user: it has no AUTH=PLAIN")
    if "LOGINDISABLED" in capabilities or not (login.user + login.secret).isascii():
        raise ImapError("unfit", "the server does not take this password: it has no AUTH=PLAIN")
    command = b"LOGIN %b %b" % (quoted(login.user.encode()), quoted(login.secret.encode()))
    return Authentication(command, None, b"*", (login.secret,))


def _sasl(mechanism: str, message: str, failed: bytes, login: Login, capabilities: frozenset[str]) -> Authentication:
    encoded = b64encode(message.encode())
    secrets = (login.secret, encoded.decode())
    command = b"AUTHENTICATE %b" % mechanism.encode()
    # RFC 4959: the first answer may go with the command, which saves a round trip.
    if capabilities & {"SASL-IR", "IMAP4REV2"}:
        return Authentication(b"%b %b" % (command, encoded), None, failed, secrets)
    return Authentication(command, encoded, failed, secrets)


def quoted(text: bytes) -> bytes:
    """A string of IMAP. Raises ImapError (protocol) for the end of a line, which no such string can have."""
    if b"\r" in text or b"\n" in text or b"\0" in text:
        raise ImapError("protocol", "a name contains the end of a line")
    return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """What a server said, without what it may repeat of a credential."""
    for secret in secrets:
        text = text.replace(secret, "(secret)")
    return text


def holds(record: Record, secrets: tuple[str, ...]) -> bool:
    """Whether a response repeats a credential."""
    said = b"".join(part if isinstance(part, bytes) else b"".join(part) for part in record)
    return any(secret.encode() in said for secret in secrets)
