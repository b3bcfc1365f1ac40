"""What the hub tells of: changes with every state filled in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tidings.bus.log import Entry
from tidings.errors import BatchError
from tidings.wire import batch as batches
from tidings.wire.batch import Batch
from tidings.wire.cursor import Position, check_of

Changed = Mapping[str, Mapping[str, str]]
"""Account -> data type -> state."""


class Told(NamedTuple):
    """A change with its states filled in. `changed_at` is on the monotonic clock in seconds, or None."""

    account: str
    changed: Mapping[str, str]
    changed_at: float | None


_new: Final = tuple.__new__
"""What makes a Told without the call into Python that a NamedTuple's own constructor is."""


def read_entry(entry: Entry) -> tuple[Batch | BatchError, Position]:
    """The batch of a log entry, or why it is none; and its position, which it has in any case."""
    try:
        batch = batches.decode(entry.payload)
    except BatchError as error:
        return error, Position(entry.offset, check_of(entry.payload))
    return batch, Position(entry.offset, check_of(batch.id))


def told_of(batch: Batch, position: Position, clock_offset: float) -> list[Told]:
    """A batch's changes with every state filled in.

    A change without a state gets one from (offset, index, batch id): the same in every gateway, with no clock.
    `clock_offset` is what the monotonic clock shows at Unix time 0.
    """
    return [
        _new(
            Told,
            (
                change.account,
                states if None not in (states := change.changed).values() else _filled(states, position, index),
                None if (time := change.time) is None else time + clock_offset,
            ),
        )
        for index, change in enumerate(batch.changes)
    ]


def _filled(changed: Mapping[str, str | None], position: Position, index: int) -> Mapping[str, str]:
    made = f"{position.offset:x}-{index:x}-{position.check.hex()}"
    return {name: made if state is None else state for name, state in changed.items()}


def by_account(changes: Sequence[Told]) -> list[Told]:
    """One change per account, the newest state by type, the oldest time."""
    merged: dict[str, Told] = {}
    for change in changes:
        earlier = merged.get(change.account)
        if earlier is not None:
            change = change._replace(
                changed={**earlier.changed, **change.changed},
                changed_at=earlier.changed_at or change.changed_at,
            )
        merged[change.account] = change
    return list(merged.values())
