from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tidings.errors import ImapError
from tidings.publisher.sources.imap.accounts_file import Credential, Entry
from tidings.publisher.sources.imap.complaints import Complaints
from tidings.publisher.sources.metrics import SourceMetrics

ALICE = Entry("alice", Credential("s3cret"), "", 3)
BOB = Entry("bob", Credential("s3cret"), "", 4)
CAROL = Entry("carol", Credential("m4ster"), "tidings", 5)
DAVE = Entry("dave", Credential("m4ster"), "tidings", 6)
AWAY = ImapError("away", "connection refused")
WRONG = ImapError("login", "login: NO [AUTHENTICATIONFAILED] no")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def complaints(registry: CollectorRegistry) -> Complaints:
    return Complaints("imap://mail.example:143", SourceMetrics(registry).of("imap"))


def connected(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("tidings_source_connected", {"source": "imap"})


def said(logs: list[MutableMapping[str, Any]]) -> list[tuple[str, str | None]]:
    return [(event["event"], event.get("login")) for event in logs]


def test_a_server_that_is_away_is_one_trouble(complaints: Complaints, registry: CollectorRegistry) -> None:
    with capture_logs() as logs:
        for entry in (ALICE, BOB, ALICE):
            complaints.failed(entry, AWAY, 1.0)
        assert connected(registry) == 0
        complaints.mended(ALICE)
        assert connected(registry) == 1
        complaints.mended(BOB)
    assert said(logs) == [("imap connection failed", "alice"), ("imap connections work again", None)]
    assert logs[0]["error"] == "connection refused"
    assert logs[1]["failures"] == 3


def test_each_wrong_credential_is_one_trouble(complaints: Complaints) -> None:
    with capture_logs() as logs:
        for entry in (ALICE, BOB, CAROL, DAVE, ALICE):
            complaints.failed(entry, WRONG, 10.04)
        complaints.mended(ALICE)
    wrong = "imap account cannot be listened to: login"
    assert said(logs) == [
        (wrong, "alice"),
        (wrong, "bob"),
        (wrong, "carol"),
        ("imap account is listened to again", "alice"),
    ]
    assert (logs[0]["line"], logs[0]["again_in_seconds"], "master" in logs[0]) == (3, 10.0, False)
    assert logs[2]["master"] == "tidings"


def test_another_reason_ends_an_outage(complaints: Complaints) -> None:
    with capture_logs() as logs:
        complaints.failed(ALICE, AWAY, 1.0)
        complaints.failed(ALICE, ImapError("limit", "full"), 1.0)
        complaints.forget(ALICE)
    assert [event for event, _ in said(logs)] == [
        "imap connection failed",
        "imap connections work again",
        "imap server reached a limit",
        "imap server has room again",
    ]


def test_without_accounts_nothing_is_missing(complaints: Complaints, registry: CollectorRegistry) -> None:
    complaints.failed(ALICE, AWAY, 1.0)
    complaints.forget(ALICE)
    assert connected(registry) == 1


def test_a_fault_and_a_server_that_does_not_tell(complaints: Complaints) -> None:
    with capture_logs() as logs:
        complaints.fault(ALICE)
        complaints.untold(BOB)
        complaints.untold(ALICE)
        complaints.mended(ALICE)
    assert said(logs) == [
        ("imap account failed", "alice"),
        ("imap server does not tell of changes", "bob"),
        ("imap account is listened to again", "alice"),
    ]
