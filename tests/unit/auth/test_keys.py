from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.keys import jwk, pem, private_key, private_pem
from tests.support.tls import make_certificate
from tidings.auth.keys import MAX_CANDIDATES, Key, candidates, read_key, read_key_set
from tidings.errors import KeysError

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("algorithm", "algorithms"),
    [
        ("RS256", RSA),
        ("ES256", ("ES256",)),
        ("ES384", ("ES384",)),
        ("ES512", ("ES512",)),
        ("EdDSA", ("EdDSA", "Ed25519")),
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


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_an_ed25519_key_is_for_one_algorithm_whichever_name_it_has(algorithm: str) -> None:
    found = read_key(json.dumps(jwk(private_key("EdDSA"), "EdDSA", alg=algorithm)).encode())
    assert found.algorithms == ("EdDSA", "Ed25519")


def _set(*jwks: dict[str, Any]) -> tuple[Key, ...]:
    return read_key_set(json.dumps({"keys": jwks}).encode())


def test_keys_of_one_id_are_told_apart_by_what_the_algorithm_needs() -> None:
    rsa_key, ec_key = private_key("RS256"), private_key("ES256")
    keys = _set(
        *(jwk(rsa_key, "RS256", kid="triple", use="sig", alg=alg) for alg in ("RS256", "RS512", "RS384")),
        jwk(rsa_key, "RS256", kid="twin"),
        jwk(ec_key, "ES256", kid="twin"),
        jwk(private_key("EdDSA"), "EdDSA"),
    )
    for algorithm in ("RS256", "RS384", "RS512"):
        assert [key.algorithms for key in candidates(keys, "triple", algorithm)] == [(algorithm,)]
    assert candidates(keys, "triple", "PS256") == ()
    assert candidates(keys, "twin", "PS256") == keys[3:4]
    assert candidates(keys, "twin", "ES256") == keys[4:5]
    assert candidates(keys, "twin", "Ed25519") == ()
    assert candidates(keys, None, "ES256") == keys[4:5]
    assert candidates(keys, None, "Ed25519") == keys[5:6]
    assert candidates(keys, None, "RS256") == (keys[0], keys[3])


def test_a_token_is_tried_with_a_few_keys_only() -> None:
    keys = _set(*(jwk(private_key("ES256", number), "ES256") for number in range(MAX_CANDIDATES + 1)))
    assert candidates(keys, None, "ES256") == keys[:MAX_CANDIDATES]


def test_a_certificate_has_a_key(tmp_path: Any) -> None:
    certificate = make_certificate(tmp_path).read_bytes()
    public, _, _ = certificate.partition(b"-----BEGIN PRIVATE")
    assert read_key(public).algorithms == ("ES256",)


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
        (private_pem(private_key("RS256")), "private key"),
        (b'{"keys":[]}', "a set of keys"),
        (b"{}", "not a JWK"),
        (b'{"kty":"RSA"}', "not a JWK"),
        (b'{"kty":"RSA","n":1,"e":[]}', "not a JWK"),
        (b'{"kty":"oct","k":"c2VjcmV0"}', "not a public RSA, EC or Ed25519 key"),
        (_rsa_jwk(d="AQAB"), "private key"),
        (_rsa_jwk(kid=7), "not a JWK"),
        (_rsa_jwk(use="enc"), r"not for signatures \(use\)"),
        (_rsa_jwk(use=["sig"]), r"not for signatures \(use\)"),
        (_rsa_jwk(key_ops=["encrypt"]), r"not for verifying \(key_ops\)"),
        (_rsa_jwk(key_ops=["sign"]), r"not for verifying \(key_ops\)"),
        (_rsa_jwk(key_ops=[]), r"not for verifying \(key_ops\)"),
        (_rsa_jwk(key_ops="verify"), r"not for verifying \(key_ops\)"),
        (_rsa_jwk(use="sig", key_ops=["wrapKey"]), r"not for verifying \(key_ops\)"),
        (_rsa_jwk(alg="ES256"), "does not fit the key"),
        (_rsa_jwk(alg="HS256"), "does not fit the key"),
        (_rsa_jwk(alg="none"), "does not fit the key"),
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
    others = [
        {"kty": "oct", "k": "c2VjcmV0"},
        "text",
        {**ec_key, "use": "enc"},
        {**ec_key, "key_ops": ["deriveKey"]},
        {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA"},
        {"kty": "unheard"},
        {**ec_key, "kid": 7},
    ]
    rsa_key |= {"key_ops": ["verify", "encrypt"], "use": None, "alg": None}
    found = read_key_set(json.dumps({"keys": [*others, rsa_key, ec_key]}).encode())
    assert [key.id for key in found] == ["r", "e"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[{"kty":"oct"}]}', b"\x80"]
)
def test_what_is_no_set(data: bytes) -> None:
    with pytest.raises(KeysError):
        read_key_set(data)
