"""Ingest as it runs: real HTTP, the log in memory."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from asyncio_pprof.traces import Life
from tests.support.publisher import SECONDS, Log, Running, Start, eventually
from tests.support.waiting import patient, within
from tidings.errors import SettingsError
from tidings.ops.budget import Budget
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import new_runtime
from tidings.publisher.accounts import AccountMap
from tidings.publisher.ingest.access import ingest_access
from tidings.publisher.ingest.app import Submit, create_app
from tidings.publisher.metrics import PublisherMetrics
from tidings.publisher.settings import PublisherSettings
from tidings.wire.batch import decode
from tidings.wire.change import ACCOUNT_CHANGED, Change

NEW = {"specversion": "1.0", "id": "1", "source": "/test", "type": "mail.MessageNew", "subject": "alice"}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCHED = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def publisher(start: Start) -> Running:
    return await start()


@pytest.fixture
async def http(publisher: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{publisher.port}", timeout=patient(SECONDS)) as client:
        yield client


def problem(response: httpx2.Response) -> dict[str, object]:
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert set(document) == {"type", "title", "status", "detail", "problems"}
    return dict(document)


class TestIngest:
    async def test_each_content_mode_is_taken(self, http: httpx2.AsyncClient, log: Log, publisher: Running) -> None:
        structured = await http.post("/v1/changes", json=NEW, headers=STRUCTURED)
        events = [{**NEW, "subject": "bob", "data": {"changed": {"Email": "s1"}}}, {**NEW, "subject": "carol"}]
        batched = await http.post("/v1/changes", json=events, headers=BATCHED)
        binary = {f"ce-{name}": value for name, value in {**NEW, "subject": "zo%C3%AB"}.items()}
        data = await http.post("/v1/changes", json={"changed": {"Email": "s2"}}, headers=binary)
        assert [answer.status_code for answer in (structured, batched, data)] == [202] * 3
        assert [answer.json() for answer in (structured, batched, data)] == [{"accepted": n} for n in (1, 2, 1)]
        await eventually(lambda: len(log.changes) == 4)
        assert [change.account for change in log.changes] == ["alice", "bob", "carol", "zoë"]
        assert [change.changed.get("Email") for change in log.changes] == [None, "s1", None, "s2"]
        assert publisher.value("tidings_publisher_requests_total", status="202") == 3
        assert publisher.value("tidings_publisher_changes_total") == 4
        assert publisher.value("tidings_ingest_to_confirm_seconds_count") == 4

    @pytest.mark.parametrize(
        "time",
        ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "1999-12-31T23:59:59Z"],
    )
    async def test_a_time_that_measures_nothing_is_taken_and_counted(
        self, http: httpx2.AsyncClient, log: Log, publisher: Running, time: str
    ) -> None:
        answer = await http.post("/v1/changes", json={**NEW, "time": time}, headers=STRUCTURED)
        assert answer.status_code == 202
        await log.until(("alice", "MessageNew"))
        now = datetime.now(UTC).isoformat()
        assert (await http.post("/v1/changes", json={**NEW, "time": now}, headers=STRUCTURED)).status_code == 202
        assert publisher.value("tidings_publisher_far_times_total") == 1

    async def test_one_bad_event_and_nothing_is_appended(self, http: httpx2.AsyncClient, log: Log) -> None:
        events = [NEW, {**NEW, "subject": "a/b"}, {**NEW, "type": "mail.Unheard"}]
        answer = await http.post("/v1/changes", json=events, headers=BATCHED)
        assert answer.status_code == 422
        assert problem(answer)["problems"] == [
            {"event": 1, "field": "subject", "detail": "must not contain '/'"},
            {
                "event": 2,
                "field": "data.changed",
                "detail": "is required: the data types that Unheard changes are not known",
            },
        ]
        await http.post("/v1/changes", json=NEW, headers=STRUCTURED)
        await log.until(("alice", "MessageNew"))
        assert log.changes == []

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (b"{", STRUCTURED, 400),
            (b'"\xff"', STRUCTURED, 400),
            (b"[" * 200_000, STRUCTURED, 400),
            (b"{}", {"Content-Type": "application/json"}, 415),
            (b"{}", {}, 415),
            (b"{}", {**STRUCTURED, "Content-Encoding": "gzip"}, 415),
            (b"{}", STRUCTURED, 422),
            (b'{"subject":"\\ud800"}', STRUCTURED, 422),
            (json.dumps([NEW] * 1001).encode(), BATCHED, 413),
        ],
    )
    async def test_bad_input_is_named(
        self, http: httpx2.AsyncClient, body: bytes, headers: dict[str, str], status: int
    ) -> None:
        answer = await http.post("/v1/changes", content=body, headers=headers)
        assert answer.status_code == status
        assert problem(answer)["detail"]

    async def test_other_paths_and_methods(self, http: httpx2.AsyncClient) -> None:
        for path in ("/", "/v1/changes/", "/docs/", "/redoc"):
            assert problem(await http.get(path))["status"] == 404
        answer = await http.get("/v1/changes")
        assert problem(answer)["status"] == 405
        assert answer.headers["allow"] == "POST"
        assert problem(await http.options("/v1/changes", headers={"Origin": "https://x.example"}))["status"] == 405

    async def test_a_body_too_long_is_refused_before_it_is_read(self, publisher: Running) -> None:
        answer = await _raw(publisher, b"Content-Length: 1048577\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer
        assert answer.endswith(b"}")

    async def test_an_endless_body_is_cut_off(self, publisher: Running) -> None:
        reader, writer = await _post(publisher, b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(17):
            writer.write(chunk)
            await writer.drain()
        async with within(SECONDS):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()

    async def test_a_body_of_the_greatest_length_is_read(self, http: httpx2.AsyncClient) -> None:
        body = json.dumps(NEW).encode().ljust(1024 * 1024)
        assert (await http.post("/v1/changes", content=body, headers=STRUCTURED)).status_code == 202

    @pytest.mark.parametrize(
        "request_bytes",
        [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST /v1/changes HTTP/1.1\r\nContent-Length: x\r\n\r\n"],
    )
    async def test_what_is_not_http_is_answered_400(self, publisher: Running, request_bytes: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", publisher.port)
        writer.write(request_bytes)
        async with within(SECONDS):
            answer = await reader.read()
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == 400

    async def test_a_head_that_does_not_come_ends_the_connection(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.ops.http.protocol.HEAD_SECONDS", 0.3)
        publisher = await start()
        whole = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for sent in (b"", whole[:20], whole + whole[:20]):
            reader, writer = await asyncio.open_connection("127.0.0.1", publisher.port)
            writer.write(sent)
            async with within(SECONDS):
                answer = await reader.read()
            writer.close()
            assert answer.count(b"HTTP/1.1 ") == sent.count(b"\r\n\r\n")

    async def test_a_head_that_is_there_has_no_deadline_any_more(
        self, start: Start, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.ops.http.protocol.HEAD_SECONDS", 0.2)
        publisher = await start()
        body = json.dumps(NEW).encode()
        reader, writer = await _post(publisher, b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        await asyncio.sleep(0.5)
        writer.write(body)
        async with within(SECONDS):
            assert (await reader.read()).startswith(b"HTTP/1.1 202 ")
        writer.close()

    async def test_a_client_that_leaves_in_the_middle_is_forgotten(self, publisher: Running) -> None:
        _, writer = await _post(publisher, b"Content-Length: 100\r\n\r\n{")
        writer.close()
        await eventually(lambda: publisher.value("tidings_publisher_requests_total", status="400") == 1)
        assert publisher.value("tidings_publisher_failures_total", part="ingest") is None

    async def test_a_log_that_is_away_means_later(self, http: httpx2.AsyncClient, log: Log, publisher: Running) -> None:
        await eventually(lambda: publisher.runtime.health.ready()[0])
        log.log.accepts = False
        answer = await http.post("/v1/changes", json=NEW, headers=STRUCTURED)
        assert problem(answer)["status"] == 503
        assert int(answer.headers["retry-after"]) >= 1
        await eventually(lambda: not publisher.runtime.health.ready()[0])
        log.log.accepts = True
        assert (await http.post("/v1/changes", json=NEW, headers=STRUCTURED)).status_code == 202
        await eventually(lambda: publisher.runtime.health.ready()[0])
        await log.until(("alice", "MessageNew"))

    async def test_a_web_page_cannot_reach_a_listener_without_tokens(self, http: httpx2.AsyncClient) -> None:
        page = {**STRUCTURED, "Origin": "https://evil.example"}
        assert problem(await http.post("/v1/changes", json=NEW, headers=page))["status"] == 403
        rebound = {**STRUCTURED, "Host": "evil.example"}
        assert problem(await http.post("/v1/changes", json=NEW, headers=rebound))["status"] == 403

    async def test_tokens(self, start: Start) -> None:
        publisher = await start(ingest_tokens="one-of-two-tokens,two-of-two-tokens")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{publisher.port}", headers=STRUCTURED) as client:
            refused = await client.post("/v1/changes", json=NEW)
            assert problem(refused)["status"] == 401
            assert refused.headers["www-authenticate"].startswith("Bearer ")
            assert (
                await client.post("/v1/changes", json=NEW, auth=("dovecot", "two-of-two-tokens"))
            ).status_code == 202
            bearer = {"Authorization": "Bearer one-of-two-tokens"}
            assert (await client.post("/v1/changes", json=NEW, headers=bearer)).status_code == 202

    async def test_without_tokens_the_network_is_refused_at_start(self, start: Start) -> None:
        with pytest.raises(SettingsError, match="TIDINGS_INGEST_TOKENS"):
            await start(host="0.0.0.0")


class TestTheApplication:
    """Faults and deadlines, which need an application of the test's own."""

    @pytest.fixture
    async def serve(self) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
        async with AsyncExitStack() as stack:

            async def serve(submit: Submit, seconds: float) -> Running:
                runtime = new_runtime()
                metrics = PublisherMetrics(runtime.registry)
                app = create_app(
                    submit,
                    ingest_access(PublisherSettings()),
                    metrics,
                    AccountMap(),
                    lambda _: None,
                    body_seconds=seconds,
                )
                running = await Running(
                    [UvicornService("ingest", app, "127.0.0.1", 0, Budget().account("requests"))], runtime
                ).start()
                stack.push_async_callback(running.stop)
                return running

            yield serve

    async def test_a_slow_body_is_answered_408(self, serve: Callable[..., Awaitable[Running]]) -> None:
        async def submit(changes: Sequence[Change], life: Life | None) -> None: ...

        running = await serve(submit, 0.05)
        answer = await _raw(running, b"Content-Length: 100\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()

    async def test_a_fault_is_logged_and_counted_and_tells_nothing(
        self, serve: Callable[..., Awaitable[Running]]
    ) -> None:
        async def submit(changes: Sequence[Change], life: Life | None) -> None:
            raise ZeroDivisionError("secret")

        running = await serve(submit, SECONDS)
        with capture_logs() as logs:
            answer = await _raw(running, b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(json.dumps(NEW)), NEW)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in answer
        assert b"Traceback" not in answer
        assert [line["event"] for line in logs if line["log_level"] == "error"] == ["request failed"]
        assert running.value("tidings_publisher_failures_total", part="ingest") == 1
        assert running.value("tidings_publisher_requests_total", status="500") == 1

    async def test_too_many_requests_at_once_are_told_so(
        self, serve: Callable[..., Awaitable[Running]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tidings.ops.http.serving.MAX_REQUESTS", 1)
        release, held = asyncio.Event(), asyncio.Event()

        async def submit(changes: Sequence[Change], life: Life | None) -> None:
            held.set()
            await release.wait()

        running = await serve(submit, SECONDS)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=patient(SECONDS)) as http:
            first = asyncio.create_task(http.post("/v1/changes", json=NEW, headers=STRUCTURED))
            await held.wait()
            answer = await http.post("/v1/changes", json=NEW, headers=STRUCTURED)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) >= 1
            release.set()
            assert (await first).status_code == 202


async def _post(running: Running, rest: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    head = b"POST /v1/changes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents+json\r\n"
    writer.write(head + rest)
    await writer.drain()
    return reader, writer


async def _raw(running: Running, rest: bytes, event: object = None) -> bytes:
    """All that is answered until the connection ends."""
    reader, writer = await _post(running, rest if event is None else rest + json.dumps(event).encode())
    async with within(SECONDS):
        answer = await reader.read()
    writer.close()
    return answer


class TestHavingClientsLook:
    async def test_accounts_or_everybody(self, http: httpx2.AsyncClient, log: Log) -> None:
        answer = await http.post("/v1/resync", json={"accounts": ["alice", "bob"]})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        await log.until(("alice", ACCOUNT_CHANGED), ("bob", ACCOUNT_CHANGED))
        assert (await http.post("/v1/resync", json={"everybody": True})).status_code == 202
        assert any(decode(payload).is_reset for _, payload in log.log._shards[0].entries)

    async def test_it_needs_a_token_like_everything(self, start: Start) -> None:
        running = await start(ingest_tokens="one-of-two-tokens,two-of-two-tokens")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
            assert (await client.post("/v1/resync", json={"everybody": True})).status_code == 401


async def test_logins_become_accounts_and_422_names_what_cannot(start: Start, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text("[[rule]]\nmatch = '(?P<user>[^@]+)@mail'\naccount = '{user}'\n")
    running = await start(account_map=file)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=patient(SECONDS)) as client:
        login = {**NEW, "subject": "alice@mail"}
        assert (await client.post("/v1/changes", json=login, headers=STRUCTURED)).status_code == 202
        await log.until(("alice", "MessageNew"))
        refused = await client.post("/v1/changes", json=[login, NEW], headers=BATCHED)
        assert refused.status_code == 422
        assert problem(refused)["problems"] == [
            {"event": 1, "field": "subject", "detail": "has no account in --account-map"}
        ]
        refused = await client.post("/v1/resync", json={"accounts": ["bob"]})
        assert refused.status_code == 422
        assert problem(refused)["problems"] == [
            {"event": 0, "field": "accounts", "detail": "has no account in --account-map"}
        ]


async def test_the_webhook_of_stalwart_is_signed(start: Start, log: Log) -> None:
    body = (Path(__file__).parents[1] / "recorded" / "stalwart.json").read_bytes()
    secret = "a signature key"
    running = await start(stalwart_secret=secret + "!", ingest_tokens="one-of-two-tokens")
    signature = b64encode(hmac.digest(f"{secret}!".encode(), body, "sha256")).decode()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
        answer = await client.post("/v1/webhooks/stalwart", content=body, headers={"X-Signature": signature})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
        await log.until(("n", "MessageNew"), ("bo", "FlagsSet"))
        refused = await client.post("/v1/webhooks/stalwart", content=body, headers={"X-Signature": signature[1:]})
        assert refused.status_code == 401


async def test_without_a_key_the_webhook_needs_a_token(start: Start, log: Log) -> None:
    body = (Path(__file__).parents[1] / "recorded" / "stalwart.json").read_bytes()
    running = await start(ingest_tokens="one-of-two-tokens")
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
        assert (await client.post("/v1/webhooks/stalwart", content=body)).status_code == 401
        answer = await client.post("/v1/webhooks/stalwart", content=body, auth=("stalwart", "one-of-two-tokens"))
        assert answer.status_code == 202


async def test_of_a_webhook_what_has_no_account_is_dropped(start: Start, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text("[[rule]]\nmatch = 'n'\naccount = 'alice'\n")
    body = (Path(__file__).parents[1] / "recorded" / "stalwart.json").read_bytes()
    running = await start(account_map=file)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as client:
        answer = await client.post("/v1/webhooks/stalwart", content=body)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    await log.until(("alice", "MessageNew"))
    assert running.value("tidings_source_unmapped_total", source="http") == 1


async def test_knative_is_answered_without_a_body(http: httpx2.AsyncClient, log: Log) -> None:
    answer = await http.post("/v1/changes", json=NEW, headers={**STRUCTURED, "Prefer": "reply"})
    assert (answer.status_code, answer.content) == (202, b"")
    await log.until(("alice", "MessageNew"))
