from __future__ import annotations

import pytest

from asyncio_pprof.traces import Family, Sampler
from asyncio_pprof.traces.book import MOST_ACTIVE
from tidings.gateway.model.connection import CLOSED, Connection
from tidings.gateway.watching.connection_traces import ConnectionTraces

REFRESH = 120.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Followed:
    def __init__(self, every: int = 1) -> None:
        self.clock = Clock()
        self.family = Family("connections", "")
        self.traces = ConnectionTraces(self.family, Sampler(every, 1e9), self.clock, REFRESH)

    def accept(self) -> Connection:
        connection = Connection(7, CLOSED)
        connection.moment = self.clock.now
        self.traces.accepted(connection, self.clock.now)
        return connection

    def after(self, seconds: float) -> float:
        self.clock.now += seconds
        return self.clock.now

    def stages(self) -> list[str]:
        (trace,) = self.family.active()
        return [stage for _, stage in trace.events]


@pytest.fixture
def followed() -> Followed:
    return Followed()


def test_a_life_from_accept_to_close(followed: Followed) -> None:
    connection = followed.accept()
    followed.after(0.001)
    followed.traces.reached(connection, "head")
    followed.traces.routed(connection, "/jmap/ws")
    followed.traces.subscribed(connection)
    (trace,) = followed.family.active()
    connection.pushed_at = followed.after(0.002)
    followed.traces.look()
    connection.pushed_at = followed.after(5.0)
    followed.traces.look()
    followed.after(1.0)
    followed.traces.look()
    followed.traces.closed(connection, "eof")
    assert trace.title == "/jmap/ws"
    assert [stage for _, stage in trace.events] == [
        "head",
        "route",
        "subscribed",
        "first cursor",
        "first push",
        "closed: eof",
    ]
    assert trace.latency == pytest.approx(0.003)
    assert followed.family.done(1) == (trace,)
    assert followed.family.active() == ()


def test_a_cursor_that_is_told_at_once_is_noticed_at_once(followed: Followed) -> None:
    connection = followed.accept()
    connection.pushed_at = followed.after(0.5)
    followed.traces.subscribed(connection)
    followed.traces.subscribed(connection)
    assert followed.stages() == ["subscribed", "first cursor", "subscribed"]


def test_the_fresh_cursor_of_an_idle_connection_is_not_called_a_push(followed: Followed) -> None:
    connection = followed.accept()
    connection.pushed_at = followed.after(0.5)
    followed.traces.subscribed(connection)
    connection.pushed_at = followed.after(REFRESH)
    followed.traces.look()
    assert followed.stages()[-1] == "first push, or a fresh cursor"


def test_what_was_told_just_before_the_end_is_not_missed(followed: Followed) -> None:
    connection = followed.accept()
    followed.traces.subscribed(connection)
    (trace,) = followed.family.active()
    connection.pushed_at = followed.after(0.5)
    followed.traces.closed(connection, "told")
    assert [stage for _, stage in trace.events] == ["subscribed", "first cursor", "closed: told"]


@pytest.mark.parametrize("reason", ["protocol_error", "write_deadline", "pong_deadline"])
def test_a_close_for_a_fault_is_an_error(followed: Followed, reason: str) -> None:
    connection = followed.accept()
    followed.traces.closed(connection, reason)
    followed.traces.closed(connection, reason)
    (trace,) = followed.family.failed()
    assert trace.events == [(0.0, f"closed: {reason}")]


def test_every_rejection_is_kept_also_of_those_not_followed() -> None:
    followed = Followed(every=1000)
    first, second = followed.accept(), followed.accept()
    followed.after(0.25)
    followed.traces.rejected(first, "/jmap/ws", 401, "no_token")
    followed.traces.rejected(second, "connection", 400, "bad_head")
    later, earlier = followed.family.rejected()
    assert (earlier.title, earlier.events) == ("/jmap/ws", [(0.25, "rejected: 401 no_token")])
    assert (later.title, later.events) == ("connection", [(0.25, "rejected: 400 bad_head")])
    assert followed.family.active() == ()


def test_a_rejection_for_lack_of_something_of_ours_is_an_error(followed: Followed) -> None:
    followed.traces.rejected(followed.accept(), "/jmap/ws", 503, "too_many_connections")
    assert followed.family.rejected() == ()
    assert len(followed.family.failed()) == 1


def test_one_that_is_handed_over_is_done(followed: Followed) -> None:
    connection = followed.accept()
    followed.after(0.003)
    followed.traces.handed_over(connection)
    assert followed.family.done(1)[0].title == "handed over"
    assert followed.family.active() == ()


def test_of_one_that_is_not_followed_nothing_is_noted() -> None:
    followed = Followed(every=1000)
    followed.accept()
    other = followed.accept()
    followed.traces.reached(other, "head")
    followed.traces.routed(other, "/jmap/ws")
    followed.traces.subscribed(other)
    followed.traces.look()
    followed.traces.handed_over(other)
    followed.traces.closed(other, "eof")
    assert followed.stages() == []


def test_a_newer_one_takes_the_place_of_the_oldest(followed: Followed) -> None:
    first = followed.accept()
    (trace,) = followed.family.active()
    for _ in range(MOST_ACTIVE):
        followed.accept()
    assert len(followed.family.active()) == MOST_ACTIVE
    assert trace.events[-1][1].startswith("not followed any longer")
    followed.traces.closed(first, "protocol_error")
    assert followed.family.failed() == ()
