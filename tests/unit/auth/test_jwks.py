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
from tidings.auth.jwks import ABSENT_SECONDS, MAX_BYTES, UNKNOWN_BURST, UNKNOWN_SECONDS, KeySet
from tidings.errors import RequestRejected
from tidings.ops.health import Health

ONE = jwk(private_key("ES256"), "ES256", kid="one")
TWO = jwk(private_key("EdDSA"), "EdDSA", kid="two")
NEW = jwk(private_key("ES256", 1), "ES256", kid="new")


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


async def found(keys: KeySet, key_id: str | None, algorithm: str = "ES256") -> list[str | None]:
    return [key.id for key in await keys.find(key_id, algorithm)]


async def rejected(keys: KeySet, key_id: str | None, algorithm: str = "ES256") -> str:
    with pytest.raises(RequestRejected) as caught:
        await keys.find(key_id, algorithm)
    return f"{caught.value.code} {caught.value.reason}"


async def retry_after(keys: KeySet, key_id: str) -> int | None:
    with pytest.raises(RequestRejected) as caught:
        await keys.find(key_id, "ES256")
    assert caught.value.code == 503
    return caught.value.retry_after


async def test_it_is_fetched_at_the_start_and_found_by_id(keys: KeySet, health: Health) -> None:
    assert not health.ready()[0]
    await keys.start()
    # Whoever comes first waits for the fetch.
    assert await found(keys, "one") == ["one"]
    assert await found(keys, None) == ["one"]
    assert health.ready()[0]


async def test_a_token_that_names_no_key_means_those_that_its_algorithm_can_be_for(
    keys: KeySet, server: KeyServer
) -> None:
    server.offer(ONE, TWO)
    await keys.start()
    assert await found(keys, None) == ["one"]
    assert await found(keys, None, "EdDSA") == ["two"]
    assert await rejected(keys, None, "RS256") == "401 unknown_key"
    assert await rejected(keys, "two", "ES256") == "401 unknown_key"


async def test_a_rotation_is_noticed_by_its_first_token(keys: KeySet, server: KeyServer) -> None:
    await keys.start()
    await found(keys, "one")
    server.offer(NEW)
    assert await found(keys, "new") == ["new"]
    assert server.requests == 2
    assert await rejected(keys, "one") == "401 unknown_key"


async def test_a_key_that_a_fetch_did_not_bring_is_looked_for_again_later(
    keys: KeySet, server: KeyServer, clock: Clock
) -> None:
    await keys.start()
    for _ in range(307):
        assert await rejected(keys, "new") == "401 unknown_key"
    assert server.requests == 2
    clock.now += ABSENT_SECONDS
    server.offer(NEW)
    assert await found(keys, "new") == ["new"]
    assert server.requests == 3


async def test_keys_that_others_make_up_neither_use_up_the_fetch_of_a_new_one_nor_make_many(
    keys: KeySet, server: KeyServer, clock: Clock
) -> None:
    await keys.start()
    await found(keys, "one")
    for number in range(UNKNOWN_BURST):
        assert await rejected(keys, f"made up {number}") == "401 unknown_key"
    server.offer(NEW)
    # Nobody can tell which of these is the new one: all are told to come again, by when there is a fetch.
    assert await retry_after(keys, "new") == UNKNOWN_SECONDS
    assert await retry_after(keys, "made up") == UNKNOWN_SECONDS
    clock.now += UNKNOWN_SECONDS - 3.5
    assert await retry_after(keys, "new") == 4
    assert server.requests == 1 + UNKNOWN_BURST
    clock.now += 3.5
    assert await rejected(keys, "another made up") == "401 unknown_key"
    assert await found(keys, "new") == ["new"]
    hour = 3600
    for second in range(hour):
        clock.now += 1
        with pytest.raises(RequestRejected):
            await keys.find(f"at {second}", "ES256")
    assert server.requests <= 2 + UNKNOWN_BURST + hour / UNKNOWN_SECONDS


async def test_fetches_by_the_clock_use_up_nothing(
    keys: KeySet, server: KeyServer, clock: Clock, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.jwks.REFRESH_SECONDS", 0.001)
    await keys.start()
    await eventually(lambda: fetches("good") > 2 * UNKNOWN_BURST)
    monkeypatch.setattr("tidings.auth.jwks.REFRESH_SECONDS", 3600)
    server.offer(NEW)
    assert await found(keys, "new") == ["new"]


async def test_a_fetch_that_had_begun_before_says_nothing_of_a_newer_key(
    keys: KeySet, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hold_back(monkeypatch)
    await keys.start()
    await eventually(lambda: server.requests == 1)
    looking = asyncio.create_task(found(keys, "new"))
    await asyncio.sleep(0)
    server.answering.set()
    # The first answer has no such key. It does not settle the matter: a second one is asked for.
    await eventually(lambda: looking.done())
    with pytest.raises(RequestRejected, match="is not known"):
        await looking
    assert server.requests == 2


async def test_until_a_fetch_has_answered_a_client_is_told_to_come_again(
    keys: KeySet, server: KeyServer, clock: Clock
) -> None:
    await keys.start()
    await found(keys, "one")
    server.status = b"503 Later"
    assert await rejected(keys, "new") == "503 key_awaited"
    assert await found(keys, "one") == ["one"]
    server.status = b"200 OK"
    server.offer(NEW)
    assert await found(keys, "new") == ["new"]


async def test_only_so_many_unknown_keys_are_remembered(
    keys: KeySet, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.jwks.MAX_SOUGHT", 2)
    await keys.start()
    for name in ("a", "b", "c", "b", "a"):
        assert await rejected(keys, name) == "401 unknown_key"
    # The first, a, b, c; b is known, a was forgotten.
    assert server.requests == 5


async def test_those_who_wait_share_a_fetch_and_none_ends_it(
    keys: KeySet, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hold_back(monkeypatch)
    await keys.start()
    waiting = [asyncio.create_task(found(keys, "one")) for _ in range(5)]
    await eventually(lambda: server.requests)
    waiting[0].cancel()
    server.answering.set()
    assert await asyncio.gather(*waiting[1:]) == [["one"]] * 4
    assert server.requests == 1


async def test_the_last_good_set_is_kept(
    keys: KeySet, server: KeyServer, clock: Clock, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.jwks.REFRESH_SECONDS", 0.01)
    await keys.start()
    await found(keys, "one")
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
            assert await found(keys, "one") == ["one"]
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert [line["event"] for line in warnings] == ["key set not fetched"]
    server.offer(TWO)
    server.status = b"200 OK"
    due = fetches("good") + 1
    await eventually(lambda: fetches("good") >= due)
    assert await found(keys, "two", "EdDSA") == ["two"]


async def test_without_any_set_it_is_asked_for_later(
    keys: KeySet, server: KeyServer, clock: Clock, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.auth.jwks.FIRST_SECONDS", 0.01)
    server.status = b"503 Later"
    await keys.start()
    assert await rejected(keys, "one") == "503 no_keys"
    assert not health.ready()[0]
    server.status = b"200 OK"
    await eventually(lambda: health.ready()[0])
    assert await found(keys, "one") == ["one"]


async def test_a_provider_that_does_not_answer_is_given_up(
    keys: KeySet, server: KeyServer, fetches: Callable[[str], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hold_back(monkeypatch)
    monkeypatch.setattr("tidings.auth.jwks.FETCH_SECONDS", 0.1)
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
    assert await found(keys, "one") == ["one"]
