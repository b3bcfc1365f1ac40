"""What waits for a client: merged by account and data type, shared by a crowd, bounded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from tidings.gateway.model.changes import MAX_TYPES, Changed
from tidings.gateway.model.form import Form
from tidings.gateway.model.held import Held, size_of
from tidings.ops.budget import Account

MAX_PENDING_TYPES: Final = MAX_TYPES
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
    SOURCE = "source"
    """A source that may have missed something, or an operator, said so."""


class Pending(NamedTuple):
    """Changes a connection has not been told of, coalesced. Never mutated: many connections may share one.

    `consumed` and `changed_at` are those of the oldest change in it, on the monotonic clock in seconds. `held` counts
    its bytes, where it may wait for long.
    """

    changed: Changed
    consumed: float
    changed_at: float | None
    held: Held | None = None


FREE: Final = None
"""In place of what waits for a connection: it may be told at once."""
ON_HOLD: Final = Pending({}, 0.0, None)
"""The connection must not be told now (it was a moment ago, or it resumes, or it does not read): nothing waits yet."""

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


def reshaped(pending: Pending, form: Form, account: Account) -> Pending:
    """What still waits for a client that has taken another form."""
    if not pending.changed:
        return pending
    kept = {name: wanted(states, form) for name, states in pending.changed.items()}
    changed = {name: states for name, states in kept.items() if states}
    return pending._replace(changed=changed, held=_held(changed, account))


def with_missed(pending: Pending, missed: Changed, now: float) -> Pending:
    """What waits, with something older beneath it: to be told at once, and not counted."""
    if not missed and not pending.changed:
        return pending
    merged = {account: {**states, **pending.changed.get(account, {})} for account, states in missed.items()}
    # How long ago the missed was consumed says nothing about us: it waited for the client.
    consumed = pending.consumed if pending.changed else now
    return Pending({**pending.changed, **merged}, consumed, pending.changed_at)


def merge(pending: Pending, changed: Changed, consumed: float, changed_at: float | None, account: Account) -> Pending:
    """What waits, with something newer told by type; the times stay those of the oldest. `account` counts its bytes."""
    before, held = pending.changed, pending.held
    merged = {name: {**before.get(name, {}), **states} for name, states in changed.items()}
    if not before:
        return Pending(merged, consumed, changed_at, _held(merged, account))
    together = {**before, **merged}
    if held is None or any(len(states) != len(before.get(name, ())) for name, states in merged.items()):
        held = _held(together, account)
    return Pending(together, pending.consumed, pending.changed_at, held)


def replaced(pending: Pending, told: Changed, account: Account) -> Pending:
    """What waits, with all that waits of some accounts replaced."""
    changed = {**pending.changed, **told}
    return pending._replace(changed=changed, held=_held(changed, account))


def _held(changed: Changed, account: Account) -> Held:
    return Held(account, sum(map(size_of, changed.values())))


def is_too_much(pending: Pending, account: str) -> bool:
    """Whether more of an account waits than is kept: data types, or bytes while there is no room."""
    if len(pending.changed[account]) > MAX_PENDING_TYPES:
        return True
    return pending.held is not None and pending.held.is_too_much
