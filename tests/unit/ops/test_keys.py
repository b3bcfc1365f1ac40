from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.keys import jwk, pem, private_key
from tests.support.tls import make_certificate
from tidings.errors import KeysError
from tidings.ops.keys import read_key, read_key_set

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("algorithm", "algorithms"),
    [
        ("RS256", RSA),
        ("ES256", ("ES256",)),
        ("ES384", ("ES384",)),
        ("ES512", ("ES512",)),
        ("EdDSA", ("EdDSA",)),
    ],
)
def test_the_algorithms_follow_from_the_key(algorithm: str, algorithms: tuple[str, ...]) -> None:
    key = private_key(algorithm)
    for written in (pem(key), json.dumps(jwk(key, algorithm)).encode()):
        found = read_key(written)
        assert found.id is None
        assert found.algorithms == algorithms
        assert found.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == pem(key)


def test_a_jwk_may_have_an_id_and_narrow_its_algorithms() -> None:
    found = read_key(json.dumps(jwk(private_key("RS256"), "RS256", kid="one", alg="PS256")).encode())
    assert (found.id, found.algorithms) == ("one", ("PS256",))


def test_a_certificate_has_a_key(tmp_path: Any) -> None:
    certificate = make_certificate(tmp_path).read_bytes()
    public, _, _ = certificate.partition(b"-----BEGIN PRIVATE")
    assert read_key(public).algorithms == ("ES256",)


def _private(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _public(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _rsa_jwk(**members: object) -> bytes:
    return json.dumps(jwk(private_key("RS256"), "RS256", **members)).encode()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "neither PEM nor a JWK"),
        (b"\xff\xfe", "neither PEM nor a JWK"),
        (b"[]", "neither PEM nor a JWK"),
        (b"[" * 100_000, "neither PEM nor a JWK"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not the PEM of a public key"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not the PEM of a public key"),
        (_private(private_key("RS256")), "private key"),
        (b'{"keys":[]}', "a set of keys"),
        (b"{}", "not a JWK"),
        (b'{"kty":"RSA"}', "not a JWK"),
        (b'{"kty":"RSA","n":1,"e":[]}', "not a JWK"),
        (b'{"kty":"oct","k":"c2VjcmV0"}', "not a public RSA, EC or Ed25519 key"),
        (_rsa_jwk(d="AQAB"), "private key"),
        (_rsa_jwk(kid=7), "not a JWK"),
        (_rsa_jwk(alg="ES256"), "cannot be for"),
        (_rsa_jwk(alg="HS256"), "cannot be for"),
        (_rsa_jwk(alg="none"), "cannot be for"),
        (_public(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (_public(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (_public(dsa.generate_private_key(1024)), "not a public RSA, EC or Ed25519 key"),
    ],
)
def test_what_is_no_key_to_verify_with_says_why(data: bytes, fault: str) -> None:
    with pytest.raises(KeysError, match=fault):
        read_key(data)


def test_a_set_passes_over_what_is_not_for_tokens() -> None:
    rsa_key, ec_key = (
        jwk(private_key("RS256"), "RS256", kid="r"),
        jwk(private_key("ES256"), "ES256", kid="e", use="sig"),
    )
    others = [{"kty": "oct", "k": "c2VjcmV0"}, "text", {**ec_key, "use": "enc"}, {"kty": "unheard"}]
    found = read_key_set(json.dumps({"keys": [*others, rsa_key, ec_key]}).encode())
    assert [key.id for key in found] == ["r", "e"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[{"kty":"oct"}]}', b"\x80"]
)
def test_what_is_no_set(data: bytes) -> None:
    with pytest.raises(KeysError):
        read_key_set(data)
