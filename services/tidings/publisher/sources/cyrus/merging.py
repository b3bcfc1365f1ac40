"""The events of one change, and of changes that come together, become one CloudEvent for each account. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tidings.publisher.sources.cyrus.event import Event
from tidings.wire.change import DATA_TYPES

SOURCE: Final = "/cyrus"
DELIVERY: Final = "MessageNew"
DELIVERED: Final = "EmailDelivery"
MAIL: Final = tuple(name for name in DATA_TYPES[DELIVERY] if name != DELIVERED)
FOLLOWS: Final = "MailboxModseq"
"""An event that comes along with every other, and says nothing of its own."""
MAX_KNOWN: Final = 50_000


class Known:
    """The highest state that was told of each account, of those that changed lately.

    Processes of Cyrus that change one account send their events in no particular order: a state told before is never
    followed by a lower one.
    """

    def __init__(self, most: int = MAX_KNOWN) -> None:
        self._most = most
        self._states: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._states)

    def raised(self, account: str, state: int) -> int:
        """The state to tell, given one that was heard of."""
        state = max(state, self._states.pop(account, 0))
        if len(self._states) >= self._most:
            del self._states[next(iter(self._states))]
        self._states[account] = state
        return state

    def has_told(self, account: str, state: int) -> bool:
        """Whether this state of an account, or a higher one, was told."""
        return state <= self._states.get(account, -1)

    def forget(self, account: str) -> None:
        """An account begins, maybe after another one of that name."""
        self._states.pop(account, None)


@dataclass(slots=True)
class _Merged:
    names: list[str] = field(default_factory=list)
    state: int | None = None


def merged(events: Iterable[Event], known: Known, new_id: Callable[[], str], now: float) -> list[dict[str, Any]]:
    """CloudEvents that tell what has changed, one for each account; `now` in Unix seconds."""
    found: dict[str, _Merged] = {}
    for event in events:
        if event.name == FOLLOWS and event.state is not None and known.has_told(event.account, event.state):
            continue
        into = found.setdefault(event.account, _Merged())
        into.names.append(event.name)
        if event.begins_account:
            known.forget(event.account)
        if event.state is not None:
            into.state = known.raised(event.account, event.state)
    time = datetime.fromtimestamp(now, UTC).isoformat()
    return [_cloud_event(account, into, new_id(), time) for account, into in found.items()]


def _cloud_event(account: str, merged: _Merged, event_id: str, time: str) -> dict[str, Any]:
    types = DATA_TYPES[DELIVERY] if DELIVERY in merged.names else MAIL
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": f"mail.{_name(merged.names)}",
        "subject": account,
        "time": time,
        "data": {"changed": dict.fromkeys(types, None if merged.state is None else str(merged.state))},
    }


def _name(names: list[str]) -> str:
    """The one that says most."""
    if DELIVERY in names:
        return DELIVERY
    return next((name for name in names if name != FOLLOWS), FOLLOWS)
