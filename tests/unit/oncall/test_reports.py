"""What commands say of documents of admin ports."""

from __future__ import annotations

from typing import Any

from tidings.oncall import connections, disconnected, shards, status, story
from tidings.oncall.answers import Answer

LIVE = {"live": True, "lag_seconds": 0.25, "silent_seconds": 1.0}
BEHIND = {"live": False, "lag_seconds": None, "silent_seconds": 60.0}
AWAY = Answer("c", fault="does not answer: nothing listens there")


def variables(**more: Any) -> dict[str, Any]:
    return {
        "state": {"alive": True, "ready": True, "unready": {}, "troubles": []},
        "shards": {"3": LIVE},
        "talkers": [{"account": "alice", "share": 0.5}],
        "metrics": {
            "tidings_build_info": {"gateway,0.1.0": 1},
            "tidings_bus_connected": {"publishing": 1, "reading": 1},
            "tidings_sockets_open": 5,
            "tidings_connections_open": {"websocket": 4, "poll": 1},
        },
        **more,
    }


class TestStatus:
    def test_all_is_well(self) -> None:
        report = status.report([Answer("a", variables())])
        assert report.text == (
            "PROCESS  COMMAND  VERSION  READY  BROKER  CONNECTIONS  LAG\n"
            "a        gateway  0.1.0    yes    up      5            0.250 s\n"
        )
        assert report.passed

    def test_what_is_wrong_is_said_with_its_runbook(self) -> None:
        trouble = {"what": "RabbitMQ is away", "why": "refused", "runbook": "TidingsBrokerUnreachable"}
        state = {"alive": False, "ready": False, "unready": {"log": "not connected yet"}, "troubles": [trouble]}
        document = variables(state=state)
        document["metrics"]["tidings_bus_connected"] = {"publishing": 1, "reading": 0}
        report = status.report([Answer("a", document), AWAY])
        assert "no     away" in report.text
        assert report.document["wrong"] == [
            "c: does not answer: nothing listens there",
            "a: the main loop does not run (runbook TidingsLoopStuck)",
            "a: not ready: log: not connected yet",
            "a: RabbitMQ is away: refused (runbook TidingsBrokerUnreachable)",
        ]
        assert report.text.endswith(status.RUNBOOKS)
        assert not report.passed

    def test_nobody_answers(self) -> None:
        assert status.report([AWAY]).text == "\nc: does not answer: nothing listens there\n"

    def test_a_process_without_a_broker_or_feeds(self) -> None:
        document = variables(shards={}, metrics={"tidings_build_info": {"webmail,0.1.0": 1}})
        lines = status.report([Answer("a", document)]).text.splitlines()
        assert lines[1].split() == ["a", "webmail", "0.1.0", "yes"]


class TestShards:
    def test_of_workers_and_single_processes(self) -> None:
        workers = variables(workers={"1": {"shards": {"10": BEHIND}}, "2": {"shards": {"10": LIVE}}}, shards={})
        report = shards.report([Answer("b", workers), Answer("a", variables()), AWAY])
        assert report.text.splitlines() == [
            "SHARD          GATEWAY  FEED         LAG      SILENT",
            "3              a        live         0.250 s  1.0 s",
            "10 (worker 1)  b        catching up           60 s",
            "10 (worker 2)  b        live         0.250 s  1.0 s",
            "c: does not answer: nothing listens there",
        ]
        assert not report.passed
        assert shards.report([Answer("a", variables())]).passed

    def test_nobody_is_connected(self) -> None:
        report = shards.report([Answer("a", variables(shards={}))])
        assert report.text == "no gateway reads a shard: no client is connected\n"
        assert report.passed


def page(*found: dict[str, Any], feed: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "account": "alice",
        "shard": 3,
        "feed": {"live": True, "offset": 4, "cursor": "x"} if feed is None else feed,
        "connections": list(found),
        "connections_omitted": 0,
        "history": [],
        **more,
    }


def connection(**more: Any) -> dict[str, Any]:
    return {
        "connection": "7f",
        "format": "websocket",
        "state": "subscribed",
        "types": None,
        "subscribed_at": "10:00",
        "told_at": None,
        "waiting": None,
        "ends_at": None,
        "ends_with": None,
        **more,
    }


class TestConnections:
    def test_how_many(self) -> None:
        report = connections.counts([Answer("a", variables()), AWAY])
        assert report.text.splitlines() == [
            "PROCESS  FORMAT     CONNECTIONS",
            "a        websocket  4",
            "a        poll       1",
            "",
            "GATEWAY  MOST PUSHED TO  SHARE",
            "a        alice           50%",
            "c: does not answer: nothing listens there",
        ]
        assert not report.passed

    def test_none(self) -> None:
        document = variables(talkers=[], workers={"1": {"talkers": []}}, metrics={})
        assert connections.counts([Answer("a", document)]).text == "no client is connected\n"

    def test_of_an_account(self) -> None:
        few = connection(types=["Email", "Mailbox"], ends_at="11:00", ends_with="token", worker=2)
        report = connections.of_account([Answer("a", page(connection(), few, connections_omitted=7))])
        assert report.text.splitlines() == [
            "GATEWAY       CONNECTION  FORMAT     STATE       TYPES           SUBSCRIBED  LAST TOLD  ENDS",
            "a             7f          websocket  subscribed  all             10:00",
            "a (worker 2)  7f          websocket  subscribed  Email, Mailbox  10:00                  11:00 (token)",
            "7 more are not shown",
        ]
        assert report.passed

    def test_of_an_account_that_has_none(self) -> None:
        report = connections.of_account([Answer("a", page()), AWAY])
        assert report.text.startswith("no client of this account is connected\nc: does not answer")


class TestStory:
    def test_events_of_all_are_told_in_their_order_and_the_log_once(self) -> None:
        log = [
            {"at": "10:02", "offset": 9, "changed": {"Email": "s2", "Thread": None}},
            {"at": "10:00", "offset": 8, "changed": {}},
        ]
        told = [
            {"at": "10:01", "what": "fresh", "connection": "7f"},
            {"at": "10:02", "what": "pushed to 1", "connection": None},
        ]
        report = story.report(
            [Answer("a", page(connection(), history=told, changes=log)), Answer("b", page(changes=log))]
        )
        assert report.text.splitlines() == [
            "a: shard 3, 1 connection, its feed is live",
            "b: shard 3, 0 connections, its feed is live",
            "10:00  log, offset 8: a change",
            "10:01  a: subscribed, from now on, connection 7f",
            "10:02  log, offset 9: Email is at s2, Thread has changed",
            "10:02  a: pushed to 1",
        ]
        assert report.passed

    def test_only_the_newest_are_told(self) -> None:
        told = [{"at": f"{number:03}", "what": f"event {number}", "connection": None} for number in range(60)]
        lines = story.report([Answer("a", page(history=told))]).text.splitlines()
        assert lines[1] == "The newest 50 of 60 events:"
        assert (lines[2], lines[-1]) == ("010  a: event 10", "059  a: event 59")

    def test_what_keeps_a_client_from_being_told(self) -> None:
        stuck = [connection(state=state) for state in ("not subscribed", "does not read", "waits to be resumed")]
        document = page(*stuck, feed={"live": False}, log={"fault": "it took too long"})
        report = story.report([Answer("a", document), AWAY])
        text = report.text.partition("Not as it should be:\n")[2]
        for part in (
            "until it subscribes",
            "does not read",
            "reads the missed changes from the log",
            "is not live",
            "took too long",
        ):
            assert part in text
        assert "- c: does not answer" in text
        assert not report.passed

    def test_several_workers(self) -> None:
        parts = [
            {"worker": 1, "shard": 3, "feed": None, "connections_omitted": 4},
            {"worker": 2, "shard": 3, "feed": {"live": True}},
        ]
        document = page(connection(worker=2)) | {"workers": parts}
        assert story.report([Answer("a", document)]).text == "a: shard 3, 5 connections, its feed is live\n"


def test_where_nobody_answers_nobody_is_said_to_be_away() -> None:
    for report in (connections.counts, connections.of_account, shards.report):
        assert report([AWAY]).text == "c: does not answer: nothing listens there\n"


def test_who_was_disconnected() -> None:
    report = disconnected.report([Answer("a", {"disconnected": 1}), Answer("b", {"disconnected": 2}), AWAY])
    assert report.text == "a: 1 connection closed\nb: 2 connections closed\nc: does not answer: nothing listens there\n"
    assert not report.passed
