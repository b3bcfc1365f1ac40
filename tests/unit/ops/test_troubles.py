from __future__ import annotations

from tidings.ops.troubles import Trouble, merged, of_log

AWAY = Trouble("away", "refused", "TidingsBrokerUnreachable")
ALARM = Trouble("alarm", "memory", "TidingsBrokerAlarm")


def test_a_log_that_is_well_has_none() -> None:
    assert list(of_log({}, None)) == []


def test_a_broker_that_is_away_is_told_once_with_its_reasons() -> None:
    (one,) = of_log({"publish": "b:5672: refused", "consume": "b:5672: refused"}, None)
    assert one.what == "RabbitMQ is away: no connection to publish and consume"
    assert one.why == "b:5672: refused"
    assert one.runbook == "TidingsBrokerUnreachable"
    (half,) = of_log({"consume": "b:5672: reset"}, None)
    assert half.what == "RabbitMQ is away: no connection to consume"
    (two,) = of_log({"publish": "refused", "consume": "reset"}, None)
    assert two.why == "refused; reset"


def test_an_alarm_is_another_trouble() -> None:
    away, alarm = of_log({"consume": "reset"}, "memory")
    assert (away.runbook, alarm.runbook) == ("TidingsBrokerUnreachable", "TidingsBrokerAlarm")
    assert alarm.why == "memory"


def test_what_all_processes_have_is_told_once_and_what_some_have_with_their_names() -> None:
    assert merged({}) == []
    assert merged({"worker 1": [AWAY], "worker 2": [AWAY]}) == [AWAY]
    told = merged({"worker 1": [AWAY], "worker 2": [ALARM, AWAY], "worker 3": [ALARM, AWAY]})
    assert told == [AWAY, Trouble("worker 2, worker 3: alarm", ALARM.why, ALARM.runbook)]
