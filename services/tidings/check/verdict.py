"""Whether anything was lost: each client's final states against the order of the changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tidings.check.ledger import Change, Key, Knowledge, Ledger

Order = Mapping[Key, Sequence[int]]
"""The numbers of the changes in the log, in log order."""


class Loss(NamedTuple):
    """A client that, at the end, knows something else than the log says."""

    client: int
    key: Key
    expected: int
    last: int

    def __str__(self) -> str:
        told = f"told {self.last} last" if self.last else "told nothing"
        return f"client {self.client}, {self.key.account} {self.key.data_type}: {told} and not of {self.expected}"


def losses(ledger: Ledger, order: Order | None = None) -> list[Loss]:
    """Everything that is lost at the end of a run.

    With the `order` of the log: a client's final state is that of the log's last change, and an acknowledged change
    that the log does not have (a stream was deleted) is known, or a resynchronisation came after either was sent.

    Without: the order is taken to be the sender's, who waits for each acknowledgement. A change that took several
    attempts may stand in the log once more, later; a client that was told of that copy since is told the truth.
    """
    return [
        Loss(number, key, expected, knowledge.last)
        for number, client in enumerate(ledger.clients, 1)
        for key, knowledge in client.knowledge.items()
        if (
            expected := _missing(
                ledger.histories.get(key, []), knowledge, None if order is None else order.get(key, [])
            )
        )
    ]


def _missing(history: Sequence[Change], knowledge: Knowledge, order: Sequence[int] | None) -> int | None:
    """The number of a change that is lost on a client, or None."""
    acknowledged = [change for change in history if change.acknowledged is not None]
    if order is None:
        last = acknowledged[-1] if acknowledged else None
        return None if last is None or _knows(history, knowledge, last) else last.number
    in_log = frozenset(order)
    gone = [change.number for change in acknowledged if change.number not in in_log]
    if gone and gone[-1] > knowledge.known:
        return gone[-1]
    if not order or order[-1] == knowledge.last:
        return None
    (last,) = (change for change in history if change.number == order[-1])
    return None if knowledge.fetched >= last.sent else last.number


def _knows(history: Sequence[Change], knowledge: Knowledge, last: Change) -> bool:
    if last.number <= knowledge.known:
        return True
    return knowledge.told >= last.sent and any(
        change.number == knowledge.last and change.attempts > 1 for change in history
    )
