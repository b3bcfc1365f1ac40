"""The parked connection: one small object, whatever its wire format. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tidings.gateway.model.form import Form
from tidings.gateway.model.pending import FREE, Pending

NEVER: Final = 0.0
"""In place of a moment: it has not come."""


class Leave(StrEnum):
    """Why a parked client is to go. Each wire format has its own way to say so."""

    TOLD = "told"
    """It was told of a change, which is what it waited for."""
    UNCHANGED = "unchanged"
    """It was told that nothing has changed, which is all it waited for."""
    NO_ROOM = "no_room"
    """There is no room for what it waits for: it may come again later."""
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a reason
    MAX_AGE = "max_age"
    """It has been here for long enough: another gateway may take it."""
    SHUTDOWN = "shutdown"
    """This process stops: another gateway takes it."""
    DISCONNECTED = "disconnected"
    """An operator ends it: its client needs a new token."""
    MOVED = "moved"
    """An operator ends it: its client connects again."""


class Handler:
    """What a connection's bytes, timer and end mean in one phase of its life. Shared by all in that phase.

    What a phase does not define means nothing in it.
    """

    def received(self, connection: Connection, data: memoryview) -> None:
        """Bytes came; `data` is only valid during the call. It is empty where the handler asked to go on later."""

    def half_closed(self, connection: Connection) -> None:
        """Its peer has closed its sending half, and may still read; once only, and nothing is received from then on."""

    def timed(self, connection: Connection, now: float) -> float | None:
        """Its timer went off; give the monotonic time of the next, or None for a connection that is done."""
        return None

    def unblocked(self, connection: Connection) -> None:
        """An unfinished write is done."""

    def closed(self, connection: Connection, reason: str) -> None:
        """It is gone, or about to be; `reason` is a metric label."""

    def leave(self, connection: Connection, why: Leave) -> None:
        """Have its client go, where it knows that it may come again: say why, and end."""

    def tell_outage(self, connection: Connection, *, stalled: bool) -> None:
        """Changes cannot reach its client, or can again: tell it, if it asked to be told."""


class Connection:
    """Everything a parked connection costs in this process, beside its place in four tables.

    fd          the socket, -1 once closed; never used as an identity, since the kernel reuses it
    handler     what its bytes mean now: a head, a parked wire format, a close under way
    accounts    the account, or a tuple where there are several; "" until it is authenticated
    form        data types and encoder; None until it subscribed
    pending     FREE, ON_HOLD, or what waits for the coalescing interval, a resume or a blocked write
    pushed_at   when it was last told anything, monotonic seconds
    expires     when its token ends or, as an AgeLimit, it has been here for long enough, monotonic seconds, or None
    moment      what its handler measures its deadline by, monotonic seconds; each handler says what that is
    """

    __slots__ = ("accounts", "expires", "fd", "form", "handler", "moment", "pending", "pushed_at")

    def __init__(self, fd: int, handler: Handler) -> None:
        self.fd = fd
        self.handler = handler
        self.accounts: str | tuple[str, ...] = ""
        self.form: Form | None = None
        self.pending: Pending | None = FREE
        self.pushed_at = 0.0
        self.expires: float | None = None
        self.moment = NEVER

    def set_accounts(self, names: tuple[str, ...]) -> None:
        self.accounts = names[0] if len(names) == 1 else names

    def let_go(self) -> None:
        """Hold nothing any more: whoever still has a connection that is gone has only this object."""
        self.accounts = ""
        self.form = None
        self.pending = FREE
        self.expires = None

    def account_names(self) -> tuple[str, ...]:
        """The accounts, always as a tuple."""
        accounts = self.accounts
        return (accounts,) if isinstance(accounts, str) else accounts


CLOSED: Final = Handler()
"""The handler of a connection that is gone."""


MIN_AGE_SHARE: Final = 0.8
"""Of the maximum age: clients that came together do not leave together."""


class AgeLimit(float):
    """When a connection ends for its age, monotonic seconds; the end of a token is a plain float."""

    __slots__ = ()


def end_of(token: float | None, now: float, max_age: float, draw: float) -> float | None:
    """When a connection that begins `now` ends: with its token or, if that is sooner, as an AgeLimit; None: never.

    `max_age` in seconds is 0 for none; `draw` in [0, 1) says how much of it is this connection's.
    """
    if not max_age:
        return token
    limit = AgeLimit(now + max_age * (MIN_AGE_SHARE + (1 - MIN_AGE_SHARE) * draw))
    return limit if token is None or limit < token else token
