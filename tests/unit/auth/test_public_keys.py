from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from tests.support.keys import PrivateKey, jwk, private_key, token
from tidings.auth.claims import Claims
from tidings.auth.identity import Identity
from tidings.auth.keys import Key, candidates, read_key_set
from tidings.auth.public_keys import KeyAuthentication
from tidings.errors import RequestRejected
from tidings.ops.pool import WorkerPool


class KnownKeys:
    """A set that never changes."""

    def __init__(self, *jwks: dict[str, object]) -> None:
        self.keys = read_key_set(json.dumps({"keys": jwks}).encode())
        self.asked: list[tuple[str | None, str]] = []

    async def find(self, key_id: str | None, algorithm: str) -> tuple[Key, ...]:
        self.asked.append((key_id, algorithm))
        found = candidates(self.keys, key_id, algorithm)
        if not found:
            raise RequestRejected(401, "unknown_key", "")
        return found


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(CollectorRegistry())
    yield pool
    pool.close()


async def admit(keys: KnownKeys, pool: WorkerPool, made: str) -> str:
    try:
        identity = await KeyAuthentication(keys, pool, Claims()).authenticate(made, {})
    except RequestRejected as error:
        return error.reason
    assert isinstance(identity, Identity)
    return identity.username


def part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def ed25519(key: PrivateKey, **header: object) -> str:
    """A token whose algorithm has the name of RFC 9864, which the library does not know."""
    claims = {"sub": "alice", "exp": int(time.time()) + 60}
    signed = part(json.dumps({"alg": "Ed25519", **header}).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(key.sign(signed))).decode()  # type: ignore[call-arg] # an Ed25519 key


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_one_id_for_several_algorithms(pool: WorkerPool, algorithm: str) -> None:
    key = private_key("RS256")
    keys = KnownKeys(*(jwk(key, "RS256", kid="triple", alg=alg) for alg in ("RS256", "RS512", "RS384")))
    assert await admit(keys, pool, token(key, algorithm, "triple")) == "alice"
    assert await admit(keys, pool, token(key, "PS256", "triple")) == "unknown_key"


@pytest.mark.parametrize("order", [1, -1])
async def test_one_id_for_keys_of_several_kinds(pool: WorkerPool, order: int) -> None:
    pairs = [(private_key(name), name) for name in ("RS256", "ES256", "ES384", "EdDSA")][::order]
    keys = KnownKeys(*(jwk(key, algorithm, kid="one") for key, algorithm in pairs))
    for key, algorithm in pairs:
        for key_id in ("one", None):
            assert await admit(keys, pool, token(key, algorithm, key_id)) == "alice"


@pytest.mark.parametrize("key_id", ["one", None])
async def test_what_cannot_be_told_apart_is_tried(pool: WorkerPool, key_id: str | None) -> None:
    mine = [private_key("ES256", number) for number in range(3)]
    keys = KnownKeys(*(jwk(key, "ES256", kid="one") for key in mine))
    for key in mine:
        assert await admit(keys, pool, token(key, "ES256", key_id)) == "alice"
    assert await admit(keys, pool, token(private_key("ES256", 7), "ES256", key_id)) == "bad_token"


@pytest.mark.parametrize("said", [{}, {"alg": "EdDSA"}, {"alg": "Ed25519"}])
async def test_ed25519_by_both_of_its_names(pool: WorkerPool, said: dict[str, object]) -> None:
    key = private_key("EdDSA")
    keys = KnownKeys(jwk(key, "EdDSA", kid="one", **said))
    assert await admit(keys, pool, ed25519(key, kid="one")) == "alice"
    assert await admit(keys, pool, token(key, "EdDSA", "one")) == "alice"
    assert await admit(keys, pool, ed25519(private_key("EdDSA", 7), kid="one")) == "bad_token"


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "Ed448"}, {"alg": 7}, {"alg": None}, {}])
async def test_an_algorithm_that_no_key_has_asks_for_none(pool: WorkerPool, header: dict[str, object]) -> None:
    keys = KnownKeys(jwk(private_key("ES256"), "ES256", kid="one"))
    made = b".".join(part(json.dumps(each).encode()) for each in ({"kid": "one", **header}, {}, {})).decode()
    assert await admit(keys, pool, made) == "bad_token"
    assert keys.asked == []
