"""PUT /v1/dovecot: what Dovecot's push notification driver "ox" sends, without Dovecot."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable

import httpx2
import pytest

from tests.support.publisher import Log, Running, Start
from tidings.publisher.ingest import dovecot as ingest_dovecot
from tidings.publisher.ingest.dovecot import Deliveries
from tidings.wire import dovecot
from tidings.wire.change import Change

NOTIFICATION = {
    "user": "alice",
    "event": "messageNew",
    "folder": "INBOX",
    "imap-uidvalidity": 1795416324,
    "imap-uid": 2,
    "from": "zoe@mail.example",
    "subject": "A subject",
    "snippet": "Hello",
    "unseen": 2,
}
TOKEN = "token-of-the-ox-driver"


@pytest.fixture
async def publisher(start: Start) -> Running:
    return await start(ingest_tokens=TOKEN)


@pytest.fixture
async def http(publisher: Running) -> AsyncIterator[httpx2.AsyncClient]:
    base = f"http://127.0.0.1:{publisher.port}"
    async with httpx2.AsyncClient(base_url=base, auth=("dovecot", TOKEN)) as client:
        yield client


async def put(http: httpx2.AsyncClient, **members: object) -> httpx2.Response:
    sent = {**NOTIFICATION, **{name.replace("_", "-"): value for name, value in members.items()}}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return await http.put("/v1/dovecot", content=json.dumps(sent).encode(), headers=headers)


async def test_a_delivery_is_told(http: httpx2.AsyncClient, log: Log) -> None:
    answer = await put(http)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    await log.until(("alice", "MessageNew"))


async def test_the_same_delivery_is_told_once(http: httpx2.AsyncClient, log: Log) -> None:
    assert (await put(http)).json() == {"accepted": 1}
    again = await put(http, unseen=3)
    assert (again.status_code, again.json()) == (202, {"accepted": 0})
    for other in ({"user": "bob"}, {"folder": "Sent"}, {"imap_uidvalidity": 1}, {"imap_uid": 3}):
        assert (await put(http, **other)).json() == {"accepted": 1}
    await log.until(("bob", "MessageNew"))
    assert len(log.everything) == 5


async def test_what_was_not_taken_is_taken_when_it_comes_again(http: httpx2.AsyncClient, log: Log) -> None:
    log.log.accepts = False
    refused = await put(http)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    log.log.accepts = True
    assert (await put(http)).json() == {"accepted": 1}
    await log.until(("alice", "MessageNew"))


async def test_a_fault_of_ours_is_503_too(http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(headers: Iterable[tuple[str, str]], body: bytes, ingested: float) -> list[Change]:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(dovecot, "parse", fails)
    answer = await put(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "on purpose" not in answer.text


@pytest.mark.parametrize(
    ("members", "status", "field"), [({"user": "a/b"}, 422, "user"), ({"imap_uid": -1}, 422, "imap-uid")]
)
async def test_what_is_wrong_is_said(
    http: httpx2.AsyncClient, members: dict[str, object], status: int, field: str
) -> None:
    answer = await put(http, **members)
    assert answer.status_code == status
    assert [problem["field"] for problem in answer.json()["problems"]] == [field]


async def test_a_body_is_bounded(http: httpx2.AsyncClient) -> None:
    assert (await put(http, snippet="x" * dovecot.MAX_BODY_BYTES)).status_code == 413


async def test_a_stranger_is_not_let_in(http: httpx2.AsyncClient) -> None:
    http.auth = httpx2.BasicAuth("dovecot", "another-token-than-that")
    assert (await put(http)).status_code == 401


def test_what_is_remembered_is_bounded() -> None:
    deliveries = Deliveries(most=2)
    route = deliveries.route

    def comes(uid: int) -> int:
        """How many changes it is: none when it was taken lately."""
        changes = route.parse((), json.dumps({**NOTIFICATION, "imap-uid": uid}).encode(), 0.0)
        route.taken(changes)
        return len(changes)

    assert [comes(uid) for uid in (1, 2, 2, 3, 1)] == [1, 1, 0, 1, 1]
    assert ingest_dovecot.MAX_REMEMBERED >= 1_000
