"""How many may be parked, and how fast: the caps, and the answers to those beyond them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tidings.errors import RequestRejected
from tidings.gateway.limits.pace import Pace
from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Budget, Level

FULL_RETRY_SECONDS: Final = 30
CROWDED_RETRY_SECONDS: Final = 60
SPARE_SOCKETS: Final = 8
"""What an address may have open beyond its parked connections, so that one too many can be told so."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Upper bounds; 0 is no bound.

    `connections` of the process, `per_account` and `per_address` are parked at once; `per_second` are admitted. An
    address has at most SPARE_SOCKETS more than that open, parked or not.
    """

    connections: int = 0
    per_account: int = 0
    per_address: int = 0
    per_second: int = 0


class Admission:
    """Counts who is parked. A cap that is off costs a connection nothing.

    `clock` gives seconds; `spread(n)` a whole number from 1 to n, so that those sent away do not return in step.
    Whatever the caps are, nobody is admitted while the budget says that memory is short.
    """

    def __init__(self, caps: Caps, clock: Callable[[], float], spread: Callable[[int], int], budget: Budget) -> None:
        self._caps = caps
        self._clock = clock
        self._spread = spread
        self._budget = budget
        self._parked = 0
        self._accounts: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._address_of: dict[Connection, str] = {}
        self._pace = Pace(caps.per_second, at_once=caps.per_second)

    @property
    def capacity(self) -> int:
        """How many may be parked at once; 0 is no bound."""
        return self._caps.connections

    @property
    def wants_address(self) -> bool:
        """Whether `admit` needs to know where a client comes from."""
        return bool(self._caps.per_address)

    def has_room(self, address: str, others: int) -> bool:
        """Whether an address may have one more open, beside its parked ones and so many others."""
        most = self._caps.per_address
        return not most or self._addresses[address] + others < most + SPARE_SOCKETS

    def admit(self, connection: Connection, address: str) -> None:
        """Count a connection whose accounts are known.

        Raises RequestRejected: 503 when the process has no room or no time, 429 when an account or an address has
        its share.
        """
        self.check_memory()
        caps = self._caps
        if caps.connections and self._parked >= caps.connections:
            self._reject(503, "full", "this gateway has no room for more connections", FULL_RETRY_SECONDS)
        names = connection.account_names() if caps.per_account else ()
        for account in names:
            if self._accounts[account] >= caps.per_account:
                detail = f"an account may have {caps.per_account} connections"
                self._reject(429, "account_full", detail, CROWDED_RETRY_SECONDS)
        if caps.per_address and self._addresses[address] >= caps.per_address:
            detail = f"an address may have {caps.per_address} connections"
            self._reject(429, "address_full", detail, CROWDED_RETRY_SECONDS)
        if caps.per_second and not self._pace.take(self._clock(), 1):
            self._reject(503, "too_fast", "too many clients connect at the same time", FULL_RETRY_SECONDS)
        self._parked += 1
        if names:
            self._accounts.update(names)
        if caps.per_address:
            self._addresses[address] += 1
            self._address_of[connection] = address

    def check_memory(self) -> None:
        """Raise RequestRejected (503) while memory is short."""
        if self._budget.level is not Level.CALM:
            self._reject(503, "memory", "this gateway has no memory for more work", FULL_RETRY_SECONDS)

    def _reject(self, code: int, reason: str, detail: str, retry_seconds: int) -> None:
        raise RequestRejected(code, reason, detail, self._spread(retry_seconds))

    def release(self, connection: Connection) -> str:
        """Forget a connection that was admitted; the address that it counted for, "" where nobody counts them."""
        self._parked -= 1
        if self._caps.per_account:
            _subtract(self._accounts, connection.account_names())
        if not self._caps.per_address:
            return ""
        address = self._address_of.pop(connection)
        _subtract(self._addresses, (address,))
        return address


def _subtract(counts: Counter[str], names: tuple[str, ...]) -> None:
    for name in names:
        counts[name] -= 1
        if not counts[name]:
            del counts[name]
