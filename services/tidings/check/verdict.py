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
    wanted = {key: _wanted(ledger, key, history, order) for key, history in ledger.histories.items()}
    return [
        Loss(number, key, expected, knowledge.last)
        for number, client in enumerate(ledger.clients, 1)
        for key, knowledge in client.knowledge.items()
        if key in wanted and (expected := _missing(wanted[key], knowledge, ledger.changes[key.account]))
    ]


class _Wanted(NamedTuple):
    """What clients are to know: of changes up to `known`, and of `last` in particular. `exactly`: the log says so."""

    known: int
    last: Change | None
    exactly: bool


def _wanted(ledger: Ledger, key: Key, history: Sequence[Change], order: Order | None) -> _Wanted:
    acknowledged = [change for change in history if change.acknowledged is not None]
    if order is None:
        last = acknowledged[-1] if acknowledged else None
        return _Wanted(0, last, exactly=False)
    logged = order.get(key, ())
    gone = {change.number for change in acknowledged}.difference(logged)
    last = ledger.changes[key.account][logged[-1] - 1] if logged else None
    return _Wanted(max(gone, default=0), last, exactly=True)


def _missing(wanted: _Wanted, knowledge: Knowledge, changes: Sequence[Change]) -> int | None:
    """The number of a change that is lost on a client, or None."""
    if knowledge.known < wanted.known:
        return wanted.known
    last = wanted.last
    if last is None or knowledge.last == last.number or knowledge.fetched >= last.sent:
        return None
    if not wanted.exactly:
        told_a_copy = knowledge.last and changes[knowledge.last - 1].attempts > 1 and knowledge.told >= last.sent
        if knowledge.known >= last.number or told_a_copy:
            return None
    return last.number
