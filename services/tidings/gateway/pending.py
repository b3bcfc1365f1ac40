"""What waits for a client: merged by account and data type, shared by a crowd, bounded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tidings.gateway.connection import Form
from tidings.gateway.told import Changed

MAX_PENDING_TYPES: Final = 128
"""Data types per account that wait for one client; beyond that it is told to resynchronise the account."""
RESYNC_TYPES: Final = ("Email", "Mailbox", "Thread")


class ResyncReason(StrEnum):
    """Why a client cannot be told what it missed."""

    EXPIRED = "expired"
    """The log does not go back so far any more."""
    UNKNOWN = "unknown"
    """The cursor says nothing about this account, or is none of ours."""
    MISMATCH = "mismatch"
    """The cursor is one of another log."""
    GAP = "gap"
    """The log was recreated or cut, or holds something that nobody can read."""


class Pending(NamedTuple):
    """Changes a connection has not been told of, coalesced. Never mutated: many connections may share one.

    `consumed` and `changed_at` are those of the oldest change in it, on the monotonic clock in seconds.
    """

    changed: Changed
    consumed: float
    changed_at: float | None


NOTHING: Final = Pending({}, 0.0, None)
"""The connection must not be written to now (it was a moment ago, or it resumes), and nothing waits."""

Merges = dict[tuple[int, Form], tuple[Pending, Pending, bool]]
"""What waits, by identity and form, to itself (which keeps the identity valid), what it becomes, and whether that was
too much: a crowd that waits for the same shares one object, and one merge."""


def resync(form: Form, account: str, state: str) -> dict[str, dict[str, str]]:
    """A `changed` that makes any client refetch: every type it subscribed to, in a state it cannot have seen.

    EmailDelivery is named only when it is all the client asked for: it would ring for mail that is not new.
    """
    if form.types is None:
        names: tuple[str, ...] = RESYNC_TYPES
    else:
        names = tuple(sorted(form.types - {"EmailDelivery"} or form.types))
    return {account: dict.fromkeys(names, state)}


def wanted(changed: Mapping[str, str], form: Form) -> Mapping[str, str]:
    """The states of the data types that a form asks for."""
    types = form.types
    return changed if types is None else {name: state for name, state in changed.items() if name in types}


def reshaped(pending: Pending, form: Form) -> Pending:
    """What still waits for a client that has taken another form."""
    kept = {account: wanted(states, form) for account, states in pending.changed.items()}
    return pending._replace(changed={account: states for account, states in kept.items() if states})


def with_missed(pending: Pending, missed: Changed, now: float) -> Pending:
    """What waits, with something older beneath it."""
    merged = {account: {**states, **pending.changed.get(account, {})} for account, states in missed.items()}
    # How long ago the missed was consumed says nothing about us: it waited for the client.
    consumed = pending.consumed if pending.changed else now
    return Pending({**pending.changed, **merged}, consumed, pending.changed_at)


def merge(pending: Pending, changed: Changed, consumed: float, changed_at: float | None) -> Pending:
    """What waits, with something newer told by type; the times stay those of the oldest."""
    merged = {account: {**pending.changed.get(account, {}), **states} for account, states in changed.items()}
    if not pending.changed:
        return Pending(merged, consumed, changed_at)
    return pending._replace(changed={**pending.changed, **merged})


def is_too_much(pending: Pending, account: str) -> bool:
    """Whether more data types of an account wait than are kept."""
    return len(pending.changed[account]) > MAX_PENDING_TYPES
