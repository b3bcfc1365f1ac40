from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.support.keys import KeyServer, jwk, key_server, private_key
from tests.support.tls import make_certificate
from tests.support.waiting import eventually
from tidings.errors import RequestRejected
from tidings.ops.health import Health
from tidings.ops.jwks import MAX_BYTES, UNKNOWN_SECONDS, KeySet

ONE = jwk(private_key("ES256"), "ES256", kid="one")
TWO = jwk(private_key("EdDSA"), "EdDSA", kid="two")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KeyServer]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with key_server(certificate) as server:
        server.offer(ONE)
        yield server


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def keys(server: KeyServer, registry: CollectorRegistry, health: Health, clock: Clock) -> AsyncIterator[KeySet]:
    keys = KeySet(server.url, registry, health, clock)
    yield keys
    await keys.stop()


@pytest.fixture
def fetches(registry: CollectorRegistry) -> Callable[[str], float]:
    return lambda outcome: registry.get_sample_value("tidings_jwks_fetches_total", {"outcome": outcome}) or 0.0


async def rejected(keys: KeySet, key_id: str | None) -> str:
    with pytest.raises(RequestRejected) as caught:
        await keys.find(key_id)
    return f"{caught.value.code} {caught.value.reason}"


async def test_it_is_fetched_at_the_start_and_found_by_id(keys: KeySet, health: Health) -> None:
    assert not health.ready()[0]
    await keys.start()
    # Whoever comes first waits for the fetch.
    assert (await keys.find("one")).algorithms == ("ES256",)
    assert (await keys.find(None)).id == "one"
    assert health.ready()[0]


async def test_a_token_that_names_no_key_means_the_only_one(keys: KeySet, server: KeyServer) -> None:
    server.offer(ONE, TWO)
    await keys.start()
    assert await rejected(keys, None) == "401 unknown_key"
    assert (await keys.find("two")).algorithms == ("EdDSA",)


async def test_a_rotation_is_noticed_by_its_first_token(keys: KeySet, server: KeyServer, clock: Clock) -> None:
    await keys.start()
    await keys.find("one")
    server.offer(TWO)
    # Anybody can make tokens that name some key: they cost the provider one request in a minute.
    assert await rejected(keys, "two") == "401 unknown_key"
    assert server.requests == 1
    clock.now += UNKNOWN_SECONDS
    assert (await keys.find("two")).id == "two"
    assert await rejected(keys, "one") == "401 unknown_key"
    assert server.requests == 2


async def test_those_who_wait_share_a_fetch_and_none_ends_it(keys: KeySet, server: KeyServer) -> None:
    server.answering.clear()
    await keys.start()
    waiting = [asyncio.create_task(keys.find("one")) for _ in range(5)]
    await eventually(lambda: server.requests)
    waiting[0].cancel()
    server.answering.set()
    assert {key.id for key in await asyncio.gather(*waiting[1:])} == {"one"}
    assert server.requests == 1


async def test_the_last_good_set_is_kept(
    keys: KeySet, server: KeyServer, clock: Clock, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.ops.jwks.REFRESH_SECONDS", 0.01)
    await keys.start()
    await keys.find("one")
    with capture_logs() as lines:
        for body, status in (
            (b"not json", b"200 OK"),
            (b'{"keys":[]}', b"200 OK"),
            (b" " * (MAX_BYTES + 1), b"200 OK"),
            (server.body, b"302 Found\r\nLocation: http://127.0.0.1/"),
            (server.body, b"500 Oops"),
        ):
            server.body, server.status = body, status
            due = fetches("failed") + 2
            await eventually(lambda due=due: fetches("failed") >= due)  # type: ignore[misc]
            assert (await keys.find("one")).id == "one"
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [line["event"] for line in warnings] == ["key set not fetched"]
    server.offer(TWO)
    server.status = b"200 OK"
    due = fetches("good") + 1
    await eventually(lambda: fetches("good") >= due)
    assert (await keys.find("two")).id == "two"


async def test_without_any_set_it_is_asked_for_later(
    keys: KeySet, server: KeyServer, clock: Clock, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.ops.jwks.FIRST_SECONDS", 0.01)
    server.status = b"503 Later"
    await keys.start()
    assert await rejected(keys, "one") == "503 no_keys"
    assert not health.ready()[0]
    server.status = b"200 OK"
    await eventually(lambda: health.ready()[0])
    assert (await keys.find("one")).id == "one"


async def test_a_provider_that_does_not_answer_is_given_up(
    keys: KeySet, server: KeyServer, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.ops.jwks.FETCH_SECONDS", 0.1)
    server.answering.clear()
    await keys.start()
    assert await rejected(keys, "one") == "503 no_keys"
    assert fetches("failed") >= 1


async def test_a_provider_of_another_certificate_is_not_believed(
    keys: KeySet, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with capture_logs() as lines:
        await keys.start()
        assert await rejected(keys, "one") == "503 no_keys"
    assert fetches("good") == 0
    assert "CERTIFICATE_VERIFY_FAILED" in str(lines)


async def test_a_set_of_the_greatest_size_is_read(keys: KeySet, server: KeyServer) -> None:
    server.body = server.body.ljust(MAX_BYTES)
    await keys.start()
    assert (await keys.find("one")).id == "one"
