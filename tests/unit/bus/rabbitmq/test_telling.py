from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tidings.bus.rabbitmq.telling import Telling

BOTH = ("publish", "consume")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tidings.bus.rabbitmq.telling.time", clock)
    return clock


@pytest.fixture
def telling(clock: Clock) -> Telling:
    return Telling("mq:5672/", BOTH)


def test_that_all_connections_are_up_is_one_line(telling: Telling) -> None:
    with capture_logs() as lines:
        telling.connected("publish", "10.0.0.1:5672")
        assert lines == []
        telling.connected("consume", "10.0.0.2:5672")
        telling.connected("consume", "10.0.0.2:5672")
    assert lines == [
        {"event": "bus connected", "log_level": "info", "broker": "mq:5672/", "address": "10.0.0.2:5672"},
    ]


def test_an_outage_is_a_line_as_it_begins_one_a_minute_and_one_as_it_ends(telling: Telling, clock: Clock) -> None:
    with capture_logs() as lines:
        for name in BOTH:
            telling.connected(name, "10.0.0.1:5672")
        for second in range(150):
            clock.now = 2000.0 + second
            for name in BOTH:
                telling.unavailable(name, "refused" if second else "cut", "10.0.0.1:5672", 1.0)
        clock.now += 1
        telling.connected("publish", "10.0.0.2:5672")
        telling.connected("consume", "10.0.0.2:5672")
    assert [(line["event"], line.get("reason"), line.get("seconds")) for line in lines[1:]] == [
        ("bus unavailable", "cut", 0.0),
        ("bus still unavailable", "refused", 60.0),
        ("bus still unavailable", "refused", 120.0),
        ("bus connected", None, 150.0),
    ]
    assert {line["broker"] for line in lines} == {"mq:5672/"}
    assert lines[-1]["failures"] == 300


def test_an_outage_at_the_start_has_an_end_too(telling: Telling, clock: Clock) -> None:
    with capture_logs() as lines:
        telling.unavailable("publish", "no such host", None, 0.2)
        telling.unavailable("consume", "no such host", None, 0.2)
        clock.now += 10
        telling.connected("consume", "10.0.0.2:5672")
        telling.connected("publish", "10.0.0.2:5672")
    assert [line["event"] for line in lines] == ["bus unavailable", "bus connected"]
    assert "address" not in lines[0]


def test_an_alarm_is_told_the_same_way(telling: Telling, clock: Clock) -> None:
    with capture_logs() as lines:
        telling.unblocked()
        for second in range(130):
            clock.now = 2000.0 + second
            telling.blocked("alarm")
        telling.unblocked()
        telling.unblocked()
    assert [line["event"] for line in lines] == [
        "bus blocked",
        "bus still blocked",
        "bus still blocked",
        "bus unblocked",
    ]
