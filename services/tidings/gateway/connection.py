"""The parked connection: one small object, whatever its wire format. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from tidings.gateway.pending import Pending

Encode = Callable[[Sequence[Mapping[str, Mapping[str, str]]], str], list[bytes]]
"""Several `changed` (account -> data type -> state) and the cursor that goes with each of them, to the bytes that tell
a client of each. Several at once, since a call for each would cost as much as encoding it.
"""


class Ends(Enum):
    """When a connection ends by having been told something."""

    NEVER = auto()
    WITH_CHANGE = auto()
    AT_ONCE = auto()


class Handler(Protocol):
    """What a connection's bytes, timer and end mean in one phase of its life. Shared by all in that phase."""

    def received(self, connection: Connection, data: memoryview) -> None:
        """Bytes came; `data` is only valid during the call."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Its timer went off; give the monotonic time of the next, or None for a connection that is done."""

    def unblocked(self, connection: Connection) -> None:
        """An unfinished write is done."""

    def closed(self, connection: Connection, reason: str) -> None:
        """It is gone, or about to be; `reason` is a metric label."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a client is told and how: the data types (None: all) and the encoder of its wire format.

    `greets` says whether it is told of a fresh cursor when it subscribes though nothing was missed. Shared between
    connections and compared by identity, so that a change is encoded once for all that want the same.
    """

    types: frozenset[str] | None
    encode: Encode
    ends: Ends = Ends.NEVER
    greets: bool = True


class Connection:
    """Everything a parked connection costs in this process, beside its place in four tables.

    fd          the socket, -1 once closed; never used as an identity, since the kernel reuses it
    handler     what its bytes mean now: a head, a parked wire format, a close under way
    accounts    the account, or a tuple where there are several; "" until it is authenticated
    form        data types and encoder; None until it subscribed
    pending     None: tell it at once; else what waits for the coalescing interval, a resume or a blocked write
    pushed_at   when it was last told anything, monotonic seconds
    expires     when its token ends or, as an AgeLimit, it has been here for long enough, monotonic seconds, or None
    pinged      monotonic seconds. When its handler began to wait (for a head, a pong, a FIN, the end of a poll), or
                pinged it last; 0 and below: it does not wait
    """

    __slots__ = ("accounts", "expires", "fd", "form", "handler", "pending", "pinged", "pushed_at")

    def __init__(self, fd: int, handler: Handler) -> None:
        self.fd = fd
        self.handler = handler
        self.accounts: str | tuple[str, ...] = ""
        self.form: Form | None = None
        self.pending: Pending | None = None
        self.pushed_at = 0.0
        self.expires: float | None = None
        self.pinged = 0.0

    def set_accounts(self, names: tuple[str, ...]) -> None:
        """Say whose it is."""
        self.accounts = names[0] if len(names) == 1 else names

    def account_names(self) -> tuple[str, ...]:
        """The accounts, always as a tuple."""
        accounts = self.accounts
        return (accounts,) if isinstance(accounts, str) else accounts


class _Closed:
    """The handler of a connection that is gone."""

    def received(self, connection: Connection, data: memoryview) -> None:
        """Nothing is read any more."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Leave the wheel."""
        return None

    def unblocked(self, connection: Connection) -> None:
        """Nothing is written any more."""

    def closed(self, connection: Connection, reason: str) -> None:
        """Already known."""


CLOSED: Final = _Closed()
