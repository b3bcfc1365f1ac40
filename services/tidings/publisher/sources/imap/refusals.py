"""Why a server says no, and what an operator may do about it. Pure."""

from __future__ import annotations

from typing import Final

from tidings.errors import ImapError
from tidings.publisher.sources.imap.responses import Condition, shown

LIMITS: Final = frozenset({"LIMIT", "INUSE"})
AWAY: Final = frozenset({"UNAVAILABLE", "SERVERBUG", "CONTACTADMIN"})
_FULL: Final = (
    "maximum number of connections",
    "too many connections",
    "connection limit",
    "mail_max_userip_connections",
)

ADVICE: Final = {
    "away": "check that the server runs and that the publisher can reach it",
    "limit": "allow the publisher's address one more connection for each account (Dovecot: "
    "mail_max_userip_connections, process_limit and client_limit of service imap; Cyrus: maxlogins_per_user)",
    "login": "correct the credential in --imap-accounts: the file is read again when it changes",
    "protocol": "check that this is an IMAP server",
    "unfit": "check which capabilities the server has",
}
UNTOLD: Final = (
    "the server did not tell of a change to this INBOX: changes are found by comparing, every --imap-poll-seconds. "
    "Dovecot on Linux needs an inotify instance for each account: raise fs.inotify.max_user_instances there"
)


def refusal(condition: Condition, what: str, *, login: bool = False) -> ImapError:
    """The error that a NO, a BAD or a BYE is. `what` is the command that it answers."""
    code = condition.code.partition(" ")[0].upper()
    said = shown(f"[{condition.code}] {condition.text}" if condition.code else condition.text)
    detail = f"{what}: {condition.status.decode()} {said}"
    if code in LIMITS or any(text in condition.text.lower() for text in _FULL):
        return ImapError("limit", detail)
    if condition.status == b"BYE" or code in AWAY:
        return ImapError("away", detail)
    return ImapError("login" if login else "protocol", detail)
