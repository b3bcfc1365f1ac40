from __future__ import annotations

import asyncio
import functools
import mailbox
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import httpx2
import jwt
import pytest
from prometheus_client import CollectorRegistry

from asyncio_pprof.traces import Family
from tests.support.waiting import patient, within
from tidings.auth.claims import Claims
from tidings.auth.gatekeeper import Gatekeeper, NoAuthentication
from tidings.auth.verifying import SecretAuthentication
from tidings.ops.http.bodies import read_body
from tidings.ops.pool import WorkerPool
from tidings.webmail.announcer import Event
from tidings.webmail.app import client_directory, create_app
from tidings.webmail.bodies import MAX_BODY_BYTES
from tidings.webmail.html import DOCUMENT_POLICY
from tidings.webmail.mailboxes import Mailboxes

BASE = "http://127.0.0.1:8082"
SECRET = "a secret of thirty-two bytes or more"
JSON = {"Content-Type": "application/json"}


class Announced:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    async def announce(self, account: str, event: Event) -> None:
        self.events.append((account, event))


@pytest.fixture
def announced() -> Announced:
    return Announced()


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    """One thread, and room for one more call."""
    pool = WorkerPool(CollectorRegistry(), 1, 1)
    yield pool
    pool.close()


@pytest.fixture
def box(tmp_path: Path) -> mailbox.Maildir:
    mailbox.Maildir(tmp_path / "bob", create=True)
    return mailbox.Maildir(tmp_path / "alice", create=True)


@pytest.fixture
async def http(
    tmp_path: Path, box: mailbox.Maildir, announced: Announced, pool: WorkerPool
) -> AsyncIterator[httpx2.AsyncClient]:
    """Mode none, with another origin that may listen."""
    keeper = Gatekeeper(NoAuthentication(), allow_origins=("https://listener.example",), loopback_hosts_only=True)
    app = create_app(
        Mailboxes(tmp_path), keeper, announced, pool, Family("requests", ""), gateway_url=None, open_account="alice"
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE) as client:
        yield client


@pytest.fixture
async def tokens_http(
    tmp_path: Path, box: mailbox.Maildir, announced: Announced, pool: WorkerPool
) -> AsyncIterator[httpx2.AsyncClient]:
    """Mode jwt, the gateway elsewhere."""
    keeper = Gatekeeper(SecretAuthentication(SECRET, Claims()), allow_origins=(), loopback_hosts_only=False)
    app = create_app(
        Mailboxes(tmp_path),
        keeper,
        announced,
        pool,
        Family("requests", ""),
        gateway_url="https://push.example/",
        open_account=None,
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE) as client:
        yield client


def token(**claims: object) -> dict[str, str]:
    return {"Cookie": f"tidings_token={jwt.encode({'exp': time.time() + 60, **claims}, SECRET, 'HS256')}"}


async def only_id(http: httpx2.AsyncClient) -> str:
    (message,) = (await http.get("/api/messages")).json()["messages"]
    return str(message["id"])


def assert_problem(response: httpx2.Response, status: int, detail: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert detail in response.json()["detail"]


async def test_the_page_and_its_parts_are_served_without_anything_inline_or_remote(http: httpx2.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text
    assert "style=" not in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    for path, kind in (
        ("/static/app.js", "javascript"),
        ("/static/style.css", "text/css"),
        ("/static/icon.svg", "image/svg"),
        ("/client/tidings.js", "javascript"),
        ("/client/src/client.js", "javascript"),
    ):
        part = await http.get(path)
        assert part.status_code == 200
        assert kind in part.headers["content-type"]
        assert part.headers["cache-control"] == "no-cache"
    assert (await http.get("/client/tidings.js")).content == (client_directory() / "tidings.js").read_bytes()


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/messages", "/api/nothing", "/api/messages/none"])
async def test_every_response_has_the_security_headers(http: httpx2.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_the_page_may_connect_to_its_gateway_only(
    http: httpx2.AsyncClient, tokens_http: httpx2.AsyncClient
) -> None:
    same = (await http.get("/")).headers["content-security-policy"]
    other = (await tokens_http.get("/")).headers["content-security-policy"]
    assert "connect-src 'self';" in same
    assert "connect-src 'self' wss://push.example https://push.example;" in other


async def test_the_session_says_who_and_where(http: httpx2.AsyncClient, tokens_http: httpx2.AsyncClient) -> None:
    assert (await http.get("/api/session")).json() == {
        "account": "alice",
        "accounts": ["alice", "bob"],
        "pushUrl": "/jmap/ws?account=alice",
    }
    odd = (await http.get("/api/session", params={"account": "a&b <c>"})).json()
    assert odd["pushUrl"] == "/jmap/ws?account=a%26b+%3Cc%3E"
    carol = await tokens_http.get("/api/session", headers=token(sub="carol", accounts=["team"]))
    assert carol.json() == {
        "account": "carol",
        "accounts": ["carol", "team"],
        "pushUrl": "https://push.example/jmap/ws?account=carol",
    }


async def test_tokens_open_their_accounts_only(tokens_http: httpx2.AsyncClient) -> None:
    alice = token(sub="alice")
    assert (await tokens_http.get("/api/messages", headers=alice)).status_code == 200
    assert_problem(await tokens_http.get("/api/messages?account=bob", headers=alice), 403, "does not name")
    refused = await tokens_http.get("/api/messages?account=alice")
    assert_problem(refused, 401, "token")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert_problem(await tokens_http.delete("/api/messages/x", headers=alice), 403, "Origin")


async def test_a_message_is_read_without_its_html_which_is_a_document_of_its_own(
    http: httpx2.AsyncClient, box: mailbox.Maildir
) -> None:
    box.add(b"From: a@example.org\nContent-Type: text/html\n\n<p>rich</p><script>alert(1)</script>")
    path = f"/api/messages/{await only_id(http)}"
    message = (await http.get(path)).json()
    assert message["html"] is True
    assert message["text"] is None
    assert message["unread"] is True
    document = await http.get(f"{path}/html")
    assert document.headers["content-type"] == "text/html; charset=utf-8"
    assert document.headers["content-security-policy"] == DOCUMENT_POLICY
    assert document.headers["cache-control"] == "no-store"
    assert "<p>rich</p>" in document.text


MIXED = (
    b"Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nfirst\n"
    b"--b\nContent-Type: text/html\n\n<p>one</p>\n"
    b"--b\nContent-Type: text/html\n\n<p>two</p>\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n"
    b"Content-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/html\n\n<p>three</p>\n--c\n"
    b'Content-Type: text/html; name="a/\xc3\xa4.html"\nContent-Transfer-Encoding: base64\n\n'
    b"PHNjcmlwdD4=\n--c--\n--b--\n"
)


async def test_the_parts_of_a_message_are_told_in_order_and_attached_mails_are_opened(
    http: httpx2.AsyncClient, box: mailbox.Maildir
) -> None:
    box.add(MIXED)
    path = f"/api/messages/{await only_id(http)}"
    message = (await http.get(path)).json()
    assert [part["text"] for part in message["body"]] == ["first", None, None]
    assert (message["text"], message["html"], message["notes"]) == ("first", True, [])
    (attached,) = message["attachments"]
    assert (attached["name"], attached["message"]) == ("inner", True)
    for part, text in zip(message["body"][1:], ("one", "two"), strict=True):
        assert f"<p>{text}</p>" in (await http.get(f"{path}/html", params={"part": part["part"]})).text
    assert "<p>one</p>" in (await http.get(f"{path}/html")).text
    assert "<p>" not in (await http.get(f"{path}/html", params={"part": 99})).text

    inside = {"part": attached["part"]}
    inner = (await http.get(path, params=inside)).json()
    assert (inner["subject"], inner["unread"], len(inner["body"])) == ("inner", True, 1)
    document = f"{attached['part']}.{inner['body'][0]['part']}"
    assert "<p>three</p>" in (await http.get(f"{path}/html", params={"part": document})).text

    (file,) = inner["attachments"]
    kept = await http.get(f"{path}/attachment", params={"part": f"{attached['part']}.{file['part']}"})
    assert kept.content == b"<script>"
    assert kept.headers["content-type"] == "application/octet-stream"
    assert kept.headers["content-disposition"] == "attachment; filename*=UTF-8''a_%C3%A4.html"
    assert kept.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert kept.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?part=x", 400),
        ("?part=1.", 400),
        ("?part=-1", 400),
        ("?part=" + ".".join("1" * 11), 400),
        ("?part=12345", 400),
        ("/html?part=1.x", 400),
        ("/attachment", 400),
        ("/attachment?part=99", 404),
        ("?part=1", 404),
    ],
)
async def test_a_part_that_is_not_there_is_a_problem(
    http: httpx2.AsyncClient, box: mailbox.Maildir, query: str, status: int
) -> None:
    box.add(MIXED)
    assert_problem(await http.get(f"/api/messages/{await only_id(http)}{query}"), status, "")


async def test_an_inbox_is_had_by_pages(http: httpx2.AsyncClient, box: mailbox.Maildir) -> None:
    box.add(b"Subject: only\n\nx")
    page = (await http.get("/api/messages", params={"offset": 200, "open": await only_id(http)})).json()
    assert (page["total"], page["offset"], page["limit"], page["left_out"]) == (1, 0, 200, 0)
    assert page["open"] == {"unread": True}
    assert [message["summary"]["subject"] for message in page["messages"]] == ["only"]
    for wrong in ("-1", "x", "1e3", "9" * 10):
        assert_problem(await http.get("/api/messages", params={"offset": wrong}), 400, "offset")


async def test_a_fault_of_the_storage_is_told(
    http: httpx2.AsyncClient, box: mailbox.Maildir, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.add(b"Subject: x\n\nx")
    path = f"/api/messages/{await only_id(http)}"

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", refuse)
    assert_problem(await http.delete(path), 403, "Permission denied")


async def test_writing_delivers_flags_deletes_and_announces(
    http: httpx2.AsyncClient, box: mailbox.Maildir, announced: Announced
) -> None:
    sent = await http.post("/api/messages", json={"to": "alice@localhost", "subject": "s", "text": "t"})
    assert sent.status_code == 201
    (message,) = box
    assert message["subject"] == "s"
    path = f"/api/messages/{await only_id(http)}"
    for unread in (False, False, True):
        assert (await http.patch(path, json={"unread": unread})).status_code == 204
    assert (await http.delete(path)).status_code == 204
    assert len(box) == 0
    assert announced.events == [
        ("alice", "MessageNew"),
        ("alice", "MessageRead"),
        ("alice", "FlagsClear"),
        ("alice", "MessageExpunge"),
    ]


@pytest.mark.parametrize(
    "origin", ["https://listener.example", "http://127.0.0.1:9999", "null", "https://evil.example"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/messages"), ("PATCH", "/api/messages/x"), ("DELETE", "/api/messages/x")]
)
async def test_no_other_page_may_write(
    http: httpx2.AsyncClient, announced: Announced, method: str, path: str, origin: str
) -> None:
    response = await http.request(method, path, json={"to": "alice"}, headers={"Origin": origin})
    assert_problem(response, 403, "only the webmail's own page")
    assert "access-control-allow-origin" not in response.headers
    assert announced.events == []


async def test_its_own_page_may_write(http: httpx2.AsyncClient) -> None:
    sent = await http.post("/api/messages", json={"to": "alice"}, headers={"Origin": BASE})
    assert sent.status_code == 201


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}]
)
async def test_no_other_page_may_read(http: httpx2.AsyncClient, headers: Mapping[str, str]) -> None:
    response = await http.get("/api/messages", headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_form_could_send_is_refused(http: httpx2.AsyncClient, kind: str) -> None:
    response = await http.post("/api/messages", content=b'{"to":"alice"}', headers={"Content-Type": kind})
    assert_problem(response, 415, "application/json")


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 422, "body: Invalid JSON"),
        (b"[]", 422, "body"),
        (b"{}", 422, "to: Field required"),
        (b'{"to": ""}', 422, "to:"),
        (b'{"to": 7}', 422, "to:"),
        (b'{"to": "alice", "cc": "x"}', 422, "cc:"),
        (b'{"to": "alice", "subject": "a\\r\\nBcc: x@example.org"}', 422, "subject:"),
        (b'{"to": "alice\\u0000"}', 422, "to:"),
        (b'{"to": "alice", "text": "\\ud800"}', 422, "body"),
        (b'{"to": "nobody"}', 422, "no mailbox with this name"),
        (b'{"to": "../alice"}', 422, "no mailbox with this name"),
        (b" " * (MAX_BODY_BYTES + 1), 413, "longer than"),
    ],
)
async def test_a_bad_body_is_refused_and_said_why(
    http: httpx2.AsyncClient, announced: Announced, body: bytes, status: int, detail: str
) -> None:
    assert_problem(await http.post("/api/messages", content=body, headers=JSON), status, detail)
    assert announced.events == []


async def test_a_body_that_does_not_come_is_given_up(http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the place of a request for ever."""
    monkeypatch.setattr("tidings.webmail.bodies.read_body", functools.partial(read_body, seconds=0.05))

    async def begun() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with within(10):
        answer = await http.post("/api/messages", content=begun(), headers=JSON)
    assert_problem(answer, 408, "did not arrive")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/messages?account=nobody", 404),
        ("GET", "/api/messages/AAAA", 404),
        ("GET", "/api/messages/AAAA/html", 404),
        ("DELETE", "/api/messages/AAAA", 404),
        ("GET", "/nothing", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("PUT", "/api/messages", 405),
    ],
)
async def test_what_is_not_there_is_a_problem(http: httpx2.AsyncClient, method: str, path: str, status: int) -> None:
    assert_problem(await http.request(method, path), status, "")


async def test_who_asks_while_the_pool_is_full_is_told_to_try_again(http: httpx2.AsyncClient, pool: WorkerPool) -> None:
    go_on = threading.Event()
    taken = [asyncio.create_task(pool.run(lambda: go_on.wait(patient(10)))) for _ in range(2)]
    await asyncio.sleep(0)
    answer = await http.get("/api/messages")
    assert_problem(answer, 503, "try again")
    assert answer.headers["retry-after"] == "1"
    go_on.set()
    await asyncio.gather(*taken)
    assert (await http.get("/api/messages")).status_code == 200


async def test_a_fault_of_ours_says_nothing_of_itself(
    tmp_path: Path, http: httpx2.AsyncClient, pool: WorkerPool
) -> None:
    mailbox.Maildir(tmp_path / "broken", create=True)
    (tmp_path / "broken" / "new" / "1.x").write_bytes(b"x")

    def broken(*_: object) -> None:
        raise RuntimeError("a secret path")

    boxes = Mailboxes(tmp_path)
    boxes.inbox = broken  # type: ignore[assignment, method-assign]
    keeper = Gatekeeper(NoAuthentication(), allow_origins=(), loopback_hosts_only=True)
    app = create_app(boxes, keeper, Announced(), pool, Family("requests", ""), gateway_url=None, open_account="alice")
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        response = await client.get("/api/messages")
    assert_problem(response, 500, "its log says why")
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
