from __future__ import annotations

from unittest import mock

import pytest

from tests.support.connections import connection_of
from tidings.gateway.model.connection import Connection
from tidings.gateway.net.closing import LAST_SECONDS, LINGER_SECONDS, Closing
from tidings.gateway.net.listener import WRITE_SECONDS

BEGAN = 1_000.0


class World:
    """A connection whose last bytes were sent at BEGAN; since when they wait is up to the test."""

    def __init__(self) -> None:
        self.reactor = mock.Mock()
        self.closing = Closing(self.reactor, mock.Mock(), mock.Mock())
        self.connection: Connection = connection_of("alice")
        self.connection.handler = self.closing
        self.connection.moment = BEGAN

    def visit(self, now: float, since: float | None) -> float | None:
        self.reactor.blocked_since.return_value = since
        return self.closing.timed(self.connection, now)


@pytest.mark.parametrize("since", [None, BEGAN - 5, BEGAN], ids=["written", "unread before", "unread"])
def test_who_reads_nothing_or_has_everything_does_not_linger(since: float | None) -> None:
    world = World()
    assert world.visit(BEGAN + 1, since) == BEGAN + LINGER_SECONDS
    assert world.visit(BEGAN + LINGER_SECONDS, since) is None
    world.reactor.close.assert_called_once_with(world.connection, "lingered")


def test_who_reads_has_the_time_of_a_write_from_when_it_last_did() -> None:
    world = World()
    read = BEGAN + LINGER_SECONDS - 0.1
    assert world.visit(BEGAN + LINGER_SECONDS, read) == read + WRITE_SECONDS
    world.reactor.close.assert_not_called()
    assert world.visit(read + WRITE_SECONDS, read) is None
    world.reactor.close.assert_called_once_with(world.connection, "lingered")


def test_nobody_reads_a_few_bytes_for_ever() -> None:
    world = World()
    assert world.visit(BEGAN + LAST_SECONDS - 1, BEGAN + LAST_SECONDS - 1) == BEGAN + LAST_SECONDS
    assert world.visit(BEGAN + LAST_SECONDS, BEGAN + LAST_SECONDS) is None
    world.reactor.close.assert_called_once_with(world.connection, "lingered")


def test_the_peer_has_its_time_from_the_last_byte_on() -> None:
    world = World()
    with mock.patch("tidings.gateway.net.closing.time.monotonic", return_value=BEGAN + 20):
        world.closing.unblocked(world.connection)
    world.reactor.shut_down_writing.assert_called_once_with(world.connection)
    world.reactor.reschedule.assert_called_once_with(world.connection, BEGAN + 20 + LINGER_SECONDS)
    assert world.visit(BEGAN + 21, None) == BEGAN + 20 + LINGER_SECONDS
