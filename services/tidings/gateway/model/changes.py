"""What the hub tells of: changes with every state filled in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tidings.wire.batch import Batch
from tidings.wire.change import ACCOUNT_CHANGED, Change
from tidings.wire.cursor import Position

MAX_TYPES: Final = 128
"""Data types of an account that a client is told of at once. Of more it is told in turns, or to resynchronise."""

ANYTHING: Final = "*"
"""In place of a data type, which none can be called: anything may have changed in the account."""

Changed = Mapping[str, Mapping[str, str]]
"""Account -> data type -> state."""


class Told(NamedTuple):
    """A change with its states filled in. `changed_at` is on the monotonic clock in seconds, or None."""

    account: str
    changed: Mapping[str, str]
    changed_at: float | None


_new: Final = tuple.__new__
"""What makes a Told without the call into Python that a NamedTuple's own constructor is."""


def told_to(batch: Batch, position: Position, listens: Callable[[str], bool]) -> list[Told]:
    """The changes, with every state filled in, of those of a batch's accounts that somebody listens to."""
    return [
        Told(change.account, filled(named(change), position, index), None)
        for index, change in enumerate(batch.changes)
        if listens(change.account)
    ]


def told_of(batch: Batch, position: Position, clock_offset: float, find: Callable[[str], object]) -> list[Told]:
    """The changes, with every state filled in, of those of a batch's accounts that `find` gives anything but None for.

    What says that anything may have changed is always among them. `clock_offset` is what the monotonic clock shows at
    Unix time 0.
    """
    return [
        _new(
            Told,
            (
                change.account,
                states if None not in (states := change.changed).values() else filled(named(change), position, index),
                None if (time := change.time) is None else time + clock_offset,
            ),
        )
        for index, change in enumerate(batch.changes)
        if find(change.account) is not None or change.event == ACCOUNT_CHANGED
    ]


def named(change: Change) -> Mapping[str, str | None]:
    """What a change says, by data type; ANYTHING stands for all types of an account."""
    return {ANYTHING: None} if change.event == ACCOUNT_CHANGED else change.changed


def filled(changed: Mapping[str, str | None], position: Position, index: int) -> Mapping[str, str]:
    """The states of the change that is in this place of a batch, those that it has not made of where it is.

    That is of (offset, index, batch id): the same in every gateway, with no clock.
    """
    made = f"{position.offset:x}-{index:x}-{position.check.hex()}"
    return {name: made if state is None else state for name, state in changed.items()}


def by_account(changes: Sequence[Told]) -> list[Told]:
    """Changes merged by account: the newest state by type, the oldest time.

    An account whose changes name more than MAX_TYPES data types has several, in order.
    """
    told: list[Told] = []
    places: dict[str, int] = {}
    """Where the newest of each account is in `told`."""
    merging: dict[str, dict[str, str]] = {}
    """The states of those that are of more than one change: each a dictionary that nobody else has, and that grows."""
    for change in changes:
        account = change.account
        place = places.get(account)
        if place is None or len(told[place].changed) + len(change.changed) > MAX_TYPES:
            places[account] = len(told)
            told.append(change)
            merging.pop(account, None)
            continue
        earlier = told[place]
        merged = merging.get(account)
        if merged is None:
            merged = merging[account] = dict(earlier.changed)
            told[place] = earlier = earlier._replace(changed=merged)
        merged.update(change.changed)
        if earlier.changed_at is None:
            told[place] = earlier._replace(changed_at=change.changed_at)
    return told
