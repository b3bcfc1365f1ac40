from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.support.access import gatekeeper
from tests.support.keys import PrivateKey, forged, jwk, pem, private_key, token
from tidings.auth.gatekeeper import settled
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected, SettingsError
from tidings.gateway.settings import GatewaySettings
from tidings.ops.pool import WorkerPool
from tidings.ops.settings.common import parse

SECRET = "a secret of thirty-two bytes or more"


async def admit(key_file: Path, token: str) -> Identity | str:
    """Who is let in with this token, or the answer to who is not."""
    pool = WorkerPool(CollectorRegistry())
    keeper = gatekeeper({"auth": "jwt", "jwt_key": key_file}, pool=pool)
    try:
        return await settled(keeper.admit("GET", {"host": "x"}, {"access_token": token}, upgrade=False))
    except RequestRejected as error:
        return f"{error.code} {error.reason}"
    finally:
        pool.close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(private_key("RS256")))
    return path


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_a_token_signed_with_the_private_half_is_let_in(tmp_path: Path, algorithm: str) -> None:
    key = private_key(algorithm)
    path = tmp_path / "key"
    path.write_bytes(pem(key))
    admitted = await admit(path, token(key, algorithm, accounts=["team"]))
    assert isinstance(admitted, Identity)
    assert admitted.accounts == ("alice", "team")
    assert admitted.expires is not None
    assert admitted.expires > time.time()


async def test_whatever_key_id_a_token_names_the_one_key_is_meant(key_file: Path) -> None:
    assert isinstance(await admit(key_file, token(private_key("RS256"), "RS256", "some")), Identity)


def _of_another_key(algorithm: str) -> PrivateKey:
    return private_key(algorithm, 7)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: forged(pem(private_key("RS256"))), id="HS256 with the public key as the secret"),
        pytest.param(lambda: jwt.encode({"sub": "alice", "exp": 4e9}, "", "none"), id="no signature"),
        pytest.param(lambda: jwt.encode({"sub": "alice", "exp": 4e9}, SECRET, "HS256"), id="a secret"),
        pytest.param(lambda: token(_of_another_key("RS256"), "RS256"), id="another key"),
        pytest.param(lambda: token(_of_another_key("ES256"), "ES256"), id="a key of another type"),
        pytest.param(lambda: "a.b.c", id="nonsense"),
        pytest.param(lambda: forged(b"key", kid=7), id="a key id of no text"),
    ],
)
async def test_what_the_key_has_not_signed_is_not_let_in(key_file: Path, made: object) -> None:
    assert callable(made)
    assert await admit(key_file, made()) == "401 bad_token"


async def test_where_a_token_says_its_key_is_does_not_matter(key_file: Path) -> None:
    other = _of_another_key("RS256")
    headers = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/", "jwk": jwk(other, "RS256")}
    made = jwt.encode({"sub": "alice", "exp": 4e9}, other, "RS256", headers=headers)
    assert await admit(key_file, made) == "401 bad_token"


async def test_an_expired_token_is_said_to_be(key_file: Path) -> None:
    assert await admit(key_file, token(private_key("RS256"), "RS256", exp=1)) == "401 expired_token"


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"jwt_secret": SECRET, "jwt_key": "key.pem"},
        {"jwt_secret": SECRET, "jwks_url": "https://id.example/keys"},
        {"jwt_key": "key.pem", "jwks_url": "https://id.example/keys"},
    ],
)
def test_there_is_exactly_one_source_of_keys(sources: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="exactly one"):
        gatekeeper({"auth": "jwt", **sources})


@pytest.mark.parametrize(("audience", "told"), [({}, 1), ({"jwt_audience": "tidings"}, 0)])
def test_what_becomes_of_tokens_with_an_aud_is_said_at_the_start(audience: dict[str, str], told: int) -> None:
    given = {"auth": "jwt", "jwt_secret": SECRET, **audience}
    with capture_logs() as lines:
        gatekeeper(given)
    assert [line["event"] for line in lines].count("tokens with an aud are refused") == told


def test_the_claim_of_the_account_is_a_setting() -> None:
    given = {"auth": "jwt", "jwt_secret": SECRET, "jwt_account_claim": "email"}
    keeper = gatekeeper(given)
    made = jwt.encode({"sub": "7", "email": "alice@mail.example", "exp": 4e9}, SECRET, "HS256")
    admitted = keeper.admit("GET", {"host": "x"}, {"access_token": made}, upgrade=False)
    assert isinstance(admitted, Identity)
    assert admitted.username == "alice@mail.example"


@pytest.mark.parametrize("claim", ["", "exp", "aud", "accounts", 'a"b', "a\\b", "a\nb", "x" * 256])
def test_a_claim_that_cannot_be_the_accounts_is_refused(claim: str) -> None:
    with pytest.raises(SettingsError, match=r"--jwt-account-claim \(TIDINGS_JWT_ACCOUNT_CLAIM\)"):
        parse(GatewaySettings, "tidings gateway", [f"--jwt-account-claim={claim}"])


@pytest.mark.parametrize("url", ["http://id.example/keys", "https://", "id.example", "https://[x", "ftp://id.example"])
def test_a_key_set_is_fetched_over_https_only(url: str) -> None:
    with pytest.raises(SettingsError, match=r"--jwks-url \(TIDINGS_JWKS_URL\): .*https"):
        parse(GatewaySettings, "tidings gateway", ["--jwks-url", url])


def test_a_key_file_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    def fault(path: Path) -> str:
        with pytest.raises(SettingsError) as caught:
            gatekeeper({"auth": "jwt", "jwt_key": path})
        return str(caught.value)

    assert fault(tmp_path / "none") == f"--jwt-key {tmp_path / 'none'}: No such file or directory"
    (tmp_path / "text").write_text("text")
    assert fault(tmp_path / "text") == f"--jwt-key {tmp_path / 'text'} is neither PEM nor a JWK"


@pytest.mark.parametrize(
    "public",
    [
        pem(private_key("RS256")).decode(),
        '{"kty":"oct","k":"c2VjcmV0"}',
        "ssh-ed25519 AAAA",
        "ecdsa-sha2-nistp256 AAAA",
    ],
)
def test_a_key_in_place_of_the_secret_is_refused_at_the_start(public: str) -> None:
    with pytest.raises(SettingsError, match="TIDINGS_JWT_SECRET is a key or a certificate, not a secret"):
        gatekeeper({"auth": "jwt", "jwt_secret": public})
