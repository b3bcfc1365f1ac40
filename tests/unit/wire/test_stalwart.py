from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from pathlib import Path

import pytest

from tidings.errors import EventError, RequestRejected
from tidings.wire import stalwart
from tidings.wire.change import ACCOUNT_CHANGED, EVERY_ACCOUNT, Change
from tidings.wire.stalwart import account_id, parse, parser

RECORDED = (Path(__file__).parents[2] / "recorded" / "stalwart.json").read_bytes()
SECRET = "a key of sixteen or more"


def event(kind: str = "message-ingest.ham", **data: object) -> dict[str, object]:
    return {"id": "1", "createdAt": "2026-11-24T10:00:00Z", "type": kind, "data": data or {"accountId": 0}}


def told(*events: object) -> list[Change]:
    return parse(None, [], json.dumps({"events": events}).encode(), 7.0)


def refused(*events: object) -> list[tuple[int | None, str]]:
    with pytest.raises(EventError) as error:
        told(*events)
    assert error.value.status == 422
    return [(problem.event, problem.field) for problem in error.value.problems]


def test_what_it_sends_is_taken_as_far_as_it_is_about_mail() -> None:
    changes = parse(None, [("Content-Length", "1")], RECORDED, 7.0)
    assert [(change.account, change.event, change.id) for change in changes] == [
        ("n", "MessageNew", "1795514400281283"),
        ("bo", "FlagsSet", "1795514400282175"),
    ]
    assert all(change.time == 1795514400.0 and change.ingested == 7.0 for change in changes)


@pytest.mark.parametrize(
    ("number", "name"), [(0, "a"), (13, "n"), (31, "3"), (33, "bb"), (46, "bo"), (1 << 63, "iaaaaaaaaaaaa")]
)
def test_accounts_are_named_as_jmap_clients_know_them(number: int, name: str) -> None:
    assert account_id(number) == name


def test_an_account_that_has_a_name_keeps_it() -> None:
    assert told(event(accountId="alice"))[0].account == "alice"


@pytest.mark.parametrize("kind", sorted(stalwart.EVENTS))
def test_every_event_of_mail_is_a_change(kind: str) -> None:
    (change,) = told(event(kind))
    assert change.changed


@pytest.mark.parametrize("kind", sorted(stalwart.LOSSES))
def test_where_events_may_be_lost_everybody_looks(kind: str) -> None:
    (change,) = told({"type": kind})
    assert (change.account, change.event) == (EVERY_ACCOUNT, ACCOUNT_CHANGED)


def test_a_signature_has_to_be_that_of_the_body() -> None:
    signature = b64encode(hmac.new(SECRET.encode(), RECORDED, hashlib.sha256).digest()).decode()
    check = parser(SECRET)
    assert len(check([("X-Signature", signature)], RECORDED, 7.0)) == 2
    for headers, body in (
        ([("X-Signature", signature)], RECORDED + b" "),
        ([("X-Signature", signature.lower())], RECORDED),
        ([("X-Signature", "\udcff")], RECORDED),
        ([("Authorization", "Bearer x")], RECORDED),
        ([("X-Signature", "")], b"{"),
    ):
        with pytest.raises(RequestRejected) as error:
            check(headers, body, 7.0)
        assert (error.value.code, error.value.reason) == (401, "bad_signature")


def test_what_is_wrong_names_the_event_and_its_member() -> None:
    assert refused(event(), [], {"type": 1}, event(accountId=-1), event(accountId=True), {**event(), "data": []}) == [
        (1, ""),
        (2, "type"),
        (3, "data.accountId"),
        (4, "data.accountId"),
        (5, "data.accountId"),
    ]
    assert refused({**event(), "createdAt": "now"}) == [(0, "createdAt")]
    assert refused({**event(), "id": None}) == [(0, "id")]


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"events": {}}'])
def test_a_request_without_events_is_refused(body: bytes) -> None:
    with pytest.raises(EventError) as error:
        parse(None, [], body, 7.0)
    assert error.value.status == 422


def test_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalwart, "MAX_EVENTS", 1)
    with pytest.raises(EventError) as error:
        told(event(), event())
    assert error.value.status == 413
