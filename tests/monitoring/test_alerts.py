"""Each alert fires when it should, stays quiet when it should, and has a runbook."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from monitoring.alert import RUNBOOKS, THRESHOLD
from monitoring.alerts import all_alerts
from tests.monitoring.promtool import RULES, assert_firing, promtool

RUNBOOK_PAGES = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
ALERTS = {alert.name: alert for alert in all_alerts()}
TARGET = 'namespace="mail",instance="gw-0:9091",job="gateway"'
OTHER = 'namespace="mail",instance="gw-1:9091",job="gateway"'
THIRD = 'namespace="mail",instance="gw-2:9091",job="gateway"'
ELSEWHERE = 'namespace="elsewhere",instance="x:9091",job="gateway"'


def of(metric: str, labels: str = "", target: str = TARGET) -> str:
    return f"{metric}{{{','.join(filter(None, (target, labels)))}}}"


SOURCE = 'source="postgres"'
GATEWAY, PUBLISHER = 'command="gateway"', 'command="publisher"'
FIRST, SECOND = 'tidings_group="0"', 'tidings_group="1"'
UP = "1x60"
OPENED, OPEN = "tidings_connections_opened_total", "tidings_connections_open"
FETCHES = "tidings_jwks_fetches_total"
UPSTREAM = "tidings_jmap_upstream_requests_total"
WEBSOCKET, POLL = 'format="websocket"', 'format="poll"'


@dataclass(frozen=True)
class Case:
    """Series for which an alert fires, and series for which it does not, both at minute `at`."""

    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    at: str = "30m"


def readiness(command: str) -> Case:
    ready = of("tidings_ready", command)
    other = of("tidings_ready", command, OTHER)
    elsewhere = of("tidings_ready", command, ELSEWHERE)
    return Case(
        fires={ready: "1x20 0x40", other: "1x20 _x40", elsewhere: UP},
        quiet={ready: "1x20 0x40", other: UP, elsewhere: UP},
    )


def histogram(name: str, within_a_second: str, every: str) -> dict[str, str]:
    return {
        of(f"{name}_bucket", 'le="1.0"'): within_a_second,
        of(f"{name}_bucket", 'le="2.5"'): every,
        of(f"{name}_bucket", 'le="+Inf"'): every,
    }


INFO = {of("tidings_build_info", 'command="gateway",version="0.1.0"'): UP}
NODES = [
    f'rabbitmq_identity_info{{rabbitmq_cluster="log",rabbitmq_node="rabbit@{n}",instance="{n}"}}' for n in (1, 2, 3)
]

TOLD = "tidings_change_to_write_seconds"


def writes(in_time: str, every: str) -> dict[str, str]:
    return {**histogram(TOLD, in_time, every), of(f"{TOLD}_count"): every}


def told(lost: str, pushed: str, reason: str = "gap") -> dict[str, str]:
    return {of("tidings_resyncs_total", f'reason="{reason}"'): lost, of("tidings_pushes_total"): pushed}


CASES: dict[str, Case] = {
    "TidingsLateBurnsFast": Case(
        fires=writes("0+800x120", "0+1000x120"),
        # An hour of the bad sort is over: it does not go on.
        quiet=writes("0+800x100 80000+1000x20", "0+1000x120"),
        at="110m",
    ),
    "TidingsLateBurns": Case(
        fires=writes("0+920x400", "0+1000x400"),
        quiet=writes("0+950x400", "0+1000x400"),
        at="390m",
    ),
    "TidingsLostBurnsFast": Case(
        fires=told("0+20x120", "0+980x120"),
        quiet=told("0+20x120", "0+980x120", "expired"),
        at="110m",
    ),
    "TidingsLostBurns": Case(
        fires=told("0+8x400", "0+992x400", "mismatch"),
        # A wave that is over.
        quiet=told("0+20x340 6800x60", "0+980x400"),
        at="390m",
    ),
    "TidingsNoReadyGateway": readiness(GATEWAY),
    "TidingsNoReadyPublisher": readiness(PUBLISHER),
    "TidingsGroupNotReady": Case(
        fires={
            **{of("up", FIRST, target): "1x120" for target in (TARGET, OTHER)},
            # All its pods are gone, and with them its targets.
            of("up", SECOND, THIRD): "1x60 _x60",
            **{of("tidings_ready", FIRST, target): "1x120" for target in (TARGET, OTHER)},
            of("tidings_ready", SECOND, THIRD): "1x60 _x60",
        },
        # One of two is enough, and a group that was removed is forgotten after an hour.
        quiet={
            of("up", FIRST): "1x120",
            of("up", FIRST, OTHER): "0x120",
            of("up", SECOND, THIRD): "1x20 _x100",
            of("tidings_ready", FIRST): "1x120",
            of("tidings_ready", SECOND, THIRD): "1x20 _x100",
            of("up", "", ELSEWHERE): "1x120",
        },
        at="90m",
    ),
    "TidingsPublisherRefuses": Case(
        fires={
            of("tidings_publisher_requests_total", 'status="202"'): "0+600x60",
            of("tidings_publisher_requests_total", 'status="503"'): "0+60x60",
        },
        quiet={
            of("tidings_publisher_requests_total", 'status="202"'): "0+600x60",
            of("tidings_publisher_requests_total", 'status="503"'): "0+1x60",
            of("tidings_publisher_requests_total", 'status="422"'): "0+600x60",
        },
    ),
    "TidingsSendersNotLetIn": Case(
        fires={
            of("tidings_publisher_requests_total", 'status="202"'): "0+600x60",
            of("tidings_publisher_requests_total", 'status="401"'): "0+60x60",
        },
        quiet={
            of("tidings_publisher_requests_total", 'status="202"'): "0+600x60",
            of("tidings_publisher_requests_total", 'status="401"'): "0+6x60",
            of("tidings_publisher_requests_total", 'status="422"'): "0+600x60",
        },
    ),
    "TidingsChangesWait": Case(
        fires={of("tidings_spool_oldest_seconds"): "0x20 0+60x40"},
        quiet={of("tidings_spool_oldest_seconds"): "0x20 30 55 90 0x40"},
    ),
    "TidingsSourceAway": Case(
        fires={
            of("tidings_source_connected", SOURCE): "1x20 0x40",
            of("tidings_source_connected", SOURCE, OTHER): "0x60",
        },
        quiet={of("tidings_source_connected", SOURCE): "1x20 0x40", of("tidings_source_connected", SOURCE, OTHER): UP},
    ),
    "TidingsSourceBehind": Case(
        fires={of("tidings_source_lag_seconds", SOURCE): "0x20 0+60x40"},
        quiet={of("tidings_source_lag_seconds", SOURCE): "0x20 30 55 90 0x40"},
    ),
    "TidingsSourceGaps": Case(
        fires={of("tidings_source_gaps_total", f'{SOURCE},reason="full"'): "0x28 2x40"},
        quiet={of("tidings_source_gaps_total", f'{SOURCE},reason="full"'): "2x60"},
    ),
    "TidingsLoginsUnmapped": Case(
        fires={of("tidings_source_unmapped_total", SOURCE): "0+1x60"},
        quiet={of("tidings_source_unmapped_total", SOURCE): "0x14 1x46"},
        at="40m",
    ),
    "TidingsImapAccountsUnheard": Case(
        fires={
            of("tidings_publisher_imap_accounts"): "200x60",
            of("tidings_publisher_imap_connections"): "200x14 199x46",
        },
        quiet={
            of("tidings_publisher_imap_accounts"): "200x60",
            of("tidings_publisher_imap_connections"): "200x14 199x10 200x36",
        },
        at="40m",
    ),
    "TidingsImapServerSilent": Case(
        fires={of("tidings_publisher_imap_untold_total"): "0+1x60"},
        quiet={of("tidings_publisher_imap_untold_total"): "0x14 1x46"},
        at="40m",
    ),
    "TidingsSpoolFilling": Case(
        fires={of("tidings_spool_bytes"): "0+2x60", of("tidings_spool_capacity_bytes"): "100x60"},
        quiet={of("tidings_spool_bytes"): "0+1x60", of("tidings_spool_capacity_bytes"): "100x60"},
    ),
    "TidingsSpoolFails": Case(
        fires={of("tidings_spool_failures_total"): "0x28 2x40"},
        quiet={of("tidings_spool_failures_total"): "2x60"},
    ),
    "TidingsFeedsNotLive": Case(
        fires={of("tidings_feeds"): "64x60", of("tidings_feeds_live"): "64x20 63x40"},
        quiet={of("tidings_feeds"): "64x60", of("tidings_feeds_live"): "64x20 0 64x40"},
    ),
    "TidingsPushesLate": Case(
        fires=histogram("tidings_append_to_consume_seconds", "0+900x60", "0+1000x60"),
        quiet=histogram("tidings_append_to_consume_seconds", "0+995x60", "0+1000x60")
        | histogram("tidings_consume_to_write_seconds", "0+1000x60", "0+1000x60"),
    ),
    "TidingsResyncStorm": Case(
        fires={
            of("tidings_resyncs_total", 'reason="gap"'): "0x20 0+100x40",
            of("tidings_resyncs_waiting"): "0x20 4000-100x40",
            of(OPEN, WEBSOCKET): "10000x60",
        },
        quiet={
            of("tidings_resyncs_total", 'reason="gap"'): "0x20 0+50x40",
            of("tidings_resyncs_waiting"): "0x20 300x40",
            of(OPEN, WEBSOCKET): "1000x60",
        },
    ),
    "TidingsReconnectStorm": Case(
        fires={of(OPENED, WEBSOCKET): "0+6000x60", of(OPEN, WEBSOCKET): "5000x60"},
        quiet={
            of(OPENED, WEBSOCKET): "0+600x60",
            of(OPEN, WEBSOCKET): "5000x60",
            of(OPENED, POLL): "0+60000x60",
            of(OPEN, POLL): "50x60",
        },
    ),
    "TidingsGatewaysNearlyFull": Case(
        fires={of(OPEN, WEBSOCKET): "850x60", of("tidings_connections_max"): "1000x60"},
        quiet={
            of(OPEN, WEBSOCKET): "950x60",
            of("tidings_connections_max"): "1000x60",
            of(OPEN, WEBSOCKET, OTHER): "100x60",
            of("tidings_connections_max", target=OTHER): "1000x60",
        },
    ),
    "TidingsClientsTurnedAway": Case(
        fires={of("tidings_rejections_total", 'reason="full"'): "0+10x60"},
        quiet={of("tidings_rejections_total", 'reason="origin"'): "0+10x60"},
    ),
    "TidingsClientsNotLetIn": Case(
        fires={
            of("tidings_rejections_total", 'reason="expired_token"'): "0+10x60",
            of("tidings_rejections_total", 'reason="unknown_key"'): "0+10x60",
            of(OPENED, WEBSOCKET): "0+20x60",
            of(OPENED, POLL): "0+30x60",
        },
        quiet={
            of("tidings_rejections_total", 'reason="bad_token"'): "0+10x60",
            of("tidings_rejections_total", 'reason="full"'): "0+1000x60",
            of(OPENED, POLL): "0+50x60",
            # Few of few.
            f'tidings_rejections_total{{{ELSEWHERE},reason="no_token"}}': "0+5x60",
            f"{OPENED}{{{ELSEWHERE},{WEBSOCKET}}}": "0+1x60",
        },
    ),
    "TidingsKeysStale": Case(
        fires={of(FETCHES, 'outcome="good"'): "5x60", of(FETCHES, 'outcome="failed"'): "0 0+1x60"},
        quiet={
            # Every other fetch.
            of(FETCHES, 'outcome="good"'): "0x9 1x9 2x9 3x30",
            of(FETCHES, 'outcome="failed"'): "0+1x60",
            of(FETCHES, 'outcome="good"', OTHER): "0+1x60",
        },
    ),
    "TidingsJmapServerFails": Case(
        fires={
            of(UPSTREAM, 'kind="session",outcome="2xx"'): "0+60x60",
            of(UPSTREAM, 'kind="session",outcome="late"'): "0+10x60",
            of(UPSTREAM, 'kind="api",outcome="failed"'): "0+10x60",
        },
        quiet={
            of(UPSTREAM, 'kind="session",outcome="2xx"'): "0+60x60",
            # Who shows a wrong password is answered.
            of(UPSTREAM, 'kind="session",outcome="4xx"'): "0+60x60",
            of(UPSTREAM, 'kind="api",outcome="5xx"'): "0+10x60",
            # One that failed, of one.
            f'{UPSTREAM}{{{ELSEWHERE},kind="session",outcome="failed"}}': "0x25 1x35",
        },
    ),
    "TidingsClientsBlocked": Case(
        fires={of("tidings_connections_blocked"): "100x60", of("tidings_sockets_open"): "1000x60"},
        quiet={of("tidings_connections_blocked"): "10x60", of("tidings_sockets_open"): "20x60"},
    ),
    "TidingsFeedGaps": Case(
        fires={of("tidings_feed_gaps_total"): "0x20 3x40"},
        quiet={of("tidings_feed_gaps_total"): "3x60"},
    ),
    "TidingsBatchesUndecodable": Case(
        fires={of("tidings_batches_undecodable_total"): "0x20 1x40"},
        quiet={of("tidings_batches_undecodable_total"): "1x60"},
    ),
    "TidingsClockSkew": Case(
        fires={
            of("tidings_clock_skew_total"): "0+10x60",
            of("tidings_append_to_consume_seconds_count"): "0+50x60",
            of("tidings_change_to_write_seconds_count"): "0+50x60",
        },
        quiet={
            of("tidings_clock_skew_total"): "0+1x60",
            of("tidings_append_to_consume_seconds_count"): "0+50x60",
            of("tidings_change_to_write_seconds_count"): "0+50x60",
        },
    ),
    "TidingsClockWrong": Case(
        fires={of("tidings_clock_skew_seconds"): "-400x60", of("tidings_clock_skew_seconds", "", OTHER): "0x60"},
        quiet={
            of("tidings_clock_skew_seconds"): "0x10 3600x3 2x60",
            of("tidings_clock_skew_seconds", "", OTHER): "-5x60",
        },
    ),
    "TidingsLoopStuck": Case(
        fires={of("tidings_beat_age_seconds"): "0.5x27 14 0.5x30"},
        quiet={
            of("tidings_beat_age_seconds"): "2x60",
            of("tidings_worker_beat_age_seconds", 'worker="1"'): "0.5x60",
            of("tidings_worker_beat_age_seconds", 'worker="2"'): "2x60",
        },
    ),
    "TidingsRestarting": Case(
        fires={**INFO, of("process_start_time_seconds"): "1x10 2x5 3x5 4x40"},
        quiet={
            **INFO,
            of("process_start_time_seconds"): "1x10 2x50",
            'process_start_time_seconds{job="node",instance="n:1"}': "0+1x60",
        },
    ),
    "TidingsFilesRunOut": Case(
        fires={**INFO, of("process_open_fds"): "950x60", of("process_max_fds"): "1000x60"},
        quiet={
            **INFO,
            of("process_open_fds"): "500x60",
            of("process_max_fds"): "1000x60",
            'process_open_fds{job="node",instance="n:1"}': "99x60",
            'process_max_fds{job="node",instance="n:1"}': "100x60",
        },
    ),
    "TidingsMemoryPressure": Case(
        fires={of("tidings_memory_pressure"): "0x20 1x40"},
        quiet={of("tidings_memory_pressure"): "0x20 1x1 0x40"},
    ),
    "TidingsBrokerUnreachable": Case(
        fires={
            of("tidings_bus_connected", 'connection="publish"'): UP,
            of("tidings_bus_connected", 'connection="consume"'): "1x20 0x40",
            of("tidings_bus_connected", 'connection="consume"', OTHER): UP,
        },
        quiet={of("tidings_bus_connected", 'connection="publish"'): "1x20 0x4 1 0x4 1x30"},
    ),
    "TidingsBrokerAlarm": Case(
        fires={
            of("rabbitmq_alarms_memory_used_watermark"): "0x60",
            of("rabbitmq_alarms_free_disk_space_watermark"): "0x20 1x40",
        },
        quiet={
            of("rabbitmq_alarms_memory_used_watermark"): "0x60",
            of("rabbitmq_alarms_free_disk_space_watermark"): "0x60",
        },
    ),
    "TidingsBrokerNodeDown": Case(
        fires={NODES[0]: UP, NODES[1]: UP, NODES[2]: "1x20 _x40"},
        quiet=dict.fromkeys(NODES, UP),
    ),
}


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("name", CASES)
def test_it_fires(name: str, tmp_path: Path) -> None:
    assert_firing(tmp_path, name, CASES[name].fires, CASES[name].at, 1)


@pytest.mark.parametrize("name", CASES)
def test_it_stays_quiet(name: str, tmp_path: Path) -> None:
    assert_firing(tmp_path, name, CASES[name].quiet, CASES[name].at, 0)


def test_a_worker_that_stands_still_and_answers_no_scrape_is_told_of(tmp_path: Path) -> None:
    silent = {of("tidings_worker_beat_age_seconds", 'worker="2"'): "0.5x27 14 29 0.5x30"}
    assert_firing(tmp_path, "TidingsLoopStuck", silent, "30m", 1)


@pytest.mark.parametrize("service", ["Gateway", "Publisher"])
def test_everything_in_one_process_is_both(service: str, tmp_path: Path) -> None:
    assert_firing(tmp_path, f"TidingsNoReady{service}", {of("tidings_ready", 'command="up"'): UP}, "30m", 0)


@pytest.mark.parametrize("command", ["gateway", "publisher"])
def test_readiness_that_has_never_been_seen_is_told_of(command: str, tmp_path: Path) -> None:
    assert_firing(tmp_path, f"TidingsNoReady{command.title()}", {of("other"): UP}, "30m", 1)


def test_thresholds_stand_where_their_conditions_name_them() -> None:
    for alert in ALERTS.values():
        assert (THRESHOLD in alert.condition) == (alert.threshold is not None)
        assert THRESHOLD not in alert.expr


def test_prometheus_takes_the_rules_and_their_templates() -> None:
    promtool("check", "rules", str(RULES))


def test_every_alert_says_where_its_runbook_is() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}{rule['alert']}.html"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {page.stem: page.read_text() for page in RUNBOOK_PAGES.glob("Tidings*.md")}
    assert pages.keys() == ALERTS.keys()
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n\nSeverity: {ALERTS[name].severity}.\n\n## What it means\n")
        assert "\n## What to do\n" in text


def test_the_index_of_runbooks_lists_the_alerts_in_their_order() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \| (.*) \|$", (RUNBOOK_PAGES / "README.md").read_text(), re.MULTILINE
    )
    assert rows == [(alert.name, alert.name, alert.severity, alert.summary) for alert in all_alerts()]
