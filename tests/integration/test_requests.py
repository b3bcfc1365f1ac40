"""The lives of requests to real services, as their admin port tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient

EVENT = {
    "specversion": "1.0",
    "id": "secret-id",
    "source": "/secret-source",
    "type": "mail.MessageNew",
    "subject": "secret-account",
}
EVENT_TYPE = {"Content-Type": "application/cloudevents+json"}
BEARER = {**EVENT_TYPE, "Authorization": "Bearer secret-token-of-tests"}


def lives(running: Tidings, family: str) -> dict[str, Any]:
    answer = httpx2.get(running.url("admin", "/debug/requests"))
    assert "secret" not in answer.text
    told = answer.json()[family]
    assert isinstance(told, dict)
    return told


def stages(trace: dict[str, Any]) -> list[str]:
    return [each["stage"] for each in trace["stages"]]


def latest(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [trace for bucket in told["buckets"] for trace in bucket["latest"]]


def test_what_becomes_of_requests_in_one_process(tmp_path: Path) -> None:
    env = {"TIDINGS_INGEST_TOKENS": "secret-token-of-tests"}
    with tidings("up", "--maildir", str(tmp_path), "--state-dir", str(tmp_path / "state"), env=env) as running:
        ingest = running.url("ingest", "/v1/changes?token=secret")
        assert httpx2.post(ingest, json=EVENT, headers=BEARER).status_code == 202
        (accepted,) = latest(lives(running, "requests, publisher"))
        assert accepted["title"] == "POST /v1/changes"
        *before, appended, confirmed, answered = stages(accepted)
        assert before == ["authenticated", "body", "validated, waits for its batch"]
        assert confirmed == "confirmed by the log"
        assert answered == "answered 202"
        # The batch of a request that is followed is followed too, here and in gateways.
        batches = [trace["title"] for trace in latest(lives(running, "batches, publisher"))]
        assert appended.removeprefix("appended in ") in [title.partition(",")[0] for title in batches]

        for refused, status in [
            (httpx2.post(ingest, json=EVENT, headers={**BEARER, "Authorization": "Bearer secret-guess"}), 401),
            (httpx2.post(ingest, content=b"{secret", headers=BEARER), 400),
            (httpx2.post(ingest, json={**EVENT, "subject": "secret/account"}, headers=BEARER), 422),
            (httpx2.post(ingest, content=bytes(2**20 + 1), headers=BEARER), 413),
            (httpx2.get(running.url("ingest", "/secret"), headers=BEARER), 404),
        ]:
            assert refused.status_code == status, refused.text
        told = lives(running, "requests, publisher")
        assert [(trace["title"], *stages(trace)) for trace in reversed(told["latest_rejections"])] == [
            ("POST /v1/changes", "rejected: bad_token", "answered 401"),
            ("POST /v1/changes", "authenticated", "body", "answered 400"),
            ("POST /v1/changes", "authenticated", "body", "answered 422"),
            ("POST /v1/changes", "authenticated", "answered 413"),
            ("GET another path", "answered 404"),
        ]
        assert told["errors"] == 0

        assert httpx2.get(running.url("gateway", "/.well-known/jmap?account=secret")).status_code == 200
        foreign = {"Origin": "https://secret.example"}
        assert httpx2.get(running.url("gateway", "/.well-known/jmap?account=a"), headers=foreign).status_code == 403
        told = lives(running, "requests, gateway")
        assert [(trace["title"], *stages(trace)) for trace in latest(told)] == [
            ("GET /.well-known/jmap", "authenticated", "answered 200")
        ]
        assert stages(told["latest_rejections"][0])[-1] == "answered 403"

        assert httpx2.get(running.url("gateway", "/api/messages?account=alice")).status_code == 200
        assert httpx2.get(running.url("gateway", "/api/messages/secret?account=alice")).status_code == 404
        told = lives(running, "requests, webmail")
        assert [(trace["title"], *stages(trace)) for trace in latest(told)] == [
            ("GET /api/messages", "authenticated", "answered 200")
        ]
        assert [(trace["title"], *stages(trace)) for trace in told["latest_rejections"]] == [
            ("GET /api/messages/{id}", "authenticated", "answered 404")
        ]


def test_a_request_that_nothing_takes_is_an_error(tmp_path: Path) -> None:
    flags = ("--bus", "amqp://127.0.0.1:1/", "--spool-bytes", "0", "--state-dir", str(tmp_path))
    with tidings("publisher", *flags) as running:
        refused = httpx2.post(running.url("ingest", "/v1/changes"), json=EVENT, headers=EVENT_TYPE, timeout=patient(30))
        assert refused.status_code == 503
        told = lives(running, "requests, publisher")
        (trace,) = told["latest_errors"]
        assert told["rejections"] == 0
        *_, appended, why, answered = stages(trace)
        assert appended.startswith("appended in batch ")
        assert why.startswith("not stored: ")
        assert answered == "answered 503"
