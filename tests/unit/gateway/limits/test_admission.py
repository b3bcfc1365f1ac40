"""Caps and what those beyond them are told."""

from __future__ import annotations

import pytest

from tests.support.connections import connection_of
from tidings.errors import RequestRejected
from tidings.gateway.limits.admission import SPARE_SOCKETS, Admission, Caps
from tidings.gateway.model.connection import Connection
from tidings.ops.budget import Budget, Level


class Desk:
    """An admission at a time the test sets."""

    def __init__(self, caps: Caps) -> None:
        self.now = 100.0
        self.budget = Budget()
        self.admission = Admission(caps, lambda: self.now, lambda most: most, self.budget)

    def admit(self, *accounts: str, address: str = "192.0.2.1") -> Connection:
        admitted = connection_of(*accounts)
        self.admission.admit(admitted, address)
        return admitted

    def rejects(self, *accounts: str, address: str = "192.0.2.1") -> tuple[int, str, int | None]:
        with pytest.raises(RequestRejected) as caught:
            self.admit(*accounts, address=address)
        return caught.value.code, caught.value.reason, caught.value.retry_after


def test_without_caps_everybody_is_admitted() -> None:
    desk = Desk(Caps())
    assert not desk.admission.wants_address
    assert desk.admission.capacity == 0
    crowd = [desk.admit("alice") for _ in range(1000)]
    for connection in crowd:
        desk.admission.release(connection)


def test_nobody_is_admitted_while_memory_is_short() -> None:
    desk = Desk(Caps())
    desk.budget.level = Level.TIGHT
    assert desk.rejects("alice")[:2] == (503, "memory")
    desk.budget.level = Level.CALM
    desk.admit("alice")


def test_a_full_process_says_when_to_come_back() -> None:
    desk = Desk(Caps(connections=2))
    first = desk.admit("alice")
    desk.admit("bob")
    assert desk.rejects("carol") == (503, "full", 30)
    desk.admission.release(first)
    desk.admit("carol")


def test_an_account_has_its_share_wherever_it_is_named() -> None:
    desk = Desk(Caps(per_account=2))
    first = desk.admit("alice", "shared")
    desk.admit("bob", "shared")
    assert desk.rejects("carol", "shared") == (429, "account_full", 60)
    desk.admit("carol")
    desk.admission.release(first)
    desk.admit("carol", "shared")


def test_an_address_has_its_share() -> None:
    desk = Desk(Caps(per_address=1))
    assert desk.admission.wants_address
    first = desk.admit("alice")
    assert desk.rejects("bob") == (429, "address_full", 60)
    desk.admit("bob", address="192.0.2.2")
    desk.admission.release(first)
    desk.admit("bob")


def test_what_was_rejected_takes_no_room() -> None:
    desk = Desk(Caps(connections=10, per_account=5, per_address=1))
    first = desk.admit("alice")
    for _ in range(20):
        assert desk.rejects("alice")[1] == "address_full"
    desk.admission.release(first)
    desk.admit("alice")


def test_so_many_a_second() -> None:
    desk = Desk(Caps(per_second=10))
    for _ in range(10):
        desk.admit("alice")
    assert desk.rejects("alice") == (503, "too_fast", 30)
    desk.now += 0.5
    for _ in range(5):
        desk.admit("alice")
    assert desk.rejects("alice")[1] == "too_fast"
    desk.now += 60
    for _ in range(10):
        desk.admit("alice")
    assert desk.rejects("alice")[1] == "too_fast"


def test_an_address_has_a_few_sockets_more_than_it_may_park() -> None:
    admission, parked = Desk(Caps(per_address=3)).admission, connection_of("alice")
    assert admission.has_room("192.0.2.1", 2 + SPARE_SOCKETS)
    assert not admission.has_room("192.0.2.1", 3 + SPARE_SOCKETS)
    admission.admit(parked, "192.0.2.1")
    assert admission.has_room("192.0.2.1", 1 + SPARE_SOCKETS)
    assert not admission.has_room("192.0.2.1", 2 + SPARE_SOCKETS)
    assert admission.has_room("192.0.2.2", 2 + SPARE_SOCKETS)
    assert admission.release(parked) == "192.0.2.1"
    assert admission.has_room("192.0.2.1", 2 + SPARE_SOCKETS)


def test_without_a_cap_an_address_has_room_and_is_not_known() -> None:
    admission, parked = Desk(Caps()).admission, connection_of("alice")
    admission.admit(parked, "192.0.2.1")
    assert admission.has_room("192.0.2.1", 10**6)
    assert admission.release(parked) == ""
