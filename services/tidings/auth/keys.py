"""Public keys that tokens are verified with. Pure.

Which algorithms a key is for follows from the key, never from a token: one that says HS256 would otherwise be verified
with a public key as the secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from tidings.errors import KeysError

MIN_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""
_RSA: Final[tuple[str, ...]] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_ED25519: Final = ("EdDSA", "Ed25519")
"""One algorithm: its name in RFC 8037, and that in RFC 9864."""
ALGORITHMS: Final = frozenset((*_RSA, *_CURVES.values(), *_ED25519))
MAX_CANDIDATES: Final = 4
"""Keys that one token is tried with, at most: anybody can send tokens that none of them has signed."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class Key(NamedTuple):
    """A key, its id (`kid`) if it has one, and the algorithms it verifies."""

    id: str | None
    public: PublicKey
    algorithms: tuple[str, ...]


def candidates(keys: Iterable[Key], key_id: str | None, algorithm: str) -> tuple[Key, ...]:
    """The keys that may have signed a token whose header says so (RFC 7515 section 6 and appendix D).

    A set may have one id for several keys, and a token may name none: what the algorithm needs tells them apart.
    """
    fitting = (key for key in keys if algorithm in key.algorithms and key_id in (None, key.id))
    return tuple(islice(fitting, MAX_CANDIDATES))


def read_key(data: bytes) -> Key:
    """One public key: PEM (also of a certificate) or JWK (RFC 7517). Raises KeysError."""
    if data.lstrip().startswith(b"-----BEGIN"):
        return _read_pem(data)
    return read_jwk(_object(data, "neither PEM nor a JWK"))


def _read_pem(data: bytes) -> Key:
    if b"PRIVATE KEY-----" in data:
        raise KeysError("is a private key: give the public key, and keep the private key secret")
    try:
        if b"BEGIN CERTIFICATE-----" in data:
            return _key(None, load_pem_x509_certificate(data).public_key(), None)
        return _key(None, load_pem_public_key(data), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeysError("is not the PEM of a public key") from error


def read_jwk(jwk: Mapping[str, object]) -> Key:
    """One public key. Raises KeysError."""
    if "keys" in jwk:
        raise KeysError("is a set of keys: give one key, or the URL of the set with --jwks-url")
    if "d" in jwk:
        raise KeysError("is a private key: give the public key, and keep the private key secret")
    _check_use(jwk)
    try:
        # Without its algorithm: what the key can be for is decided below.
        parsed = jwt.PyJWK({name: value for name, value in jwk.items() if name != "alg"})
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise KeysError("is not a JWK of a public key") from error
    key_id, algorithm = jwk.get("kid"), jwk.get("alg")
    if not isinstance(key_id, str | None) or not isinstance(algorithm, str | None):
        raise KeysError("is not a JWK of a public key")
    return _key(key_id, parsed.key, algorithm)


def _check_use(jwk: Mapping[str, object]) -> None:
    """Check that a key is for verifying, as far as it says what it is for (RFC 7517 sections 4.2 and 4.3)."""
    if jwk.get("use") not in (None, "sig"):
        raise KeysError("is not for signatures (use)")
    operations = jwk.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise KeysError("is not for verifying (key_ops)")


def read_key_set(data: bytes) -> tuple[Key, ...]:
    """The keys of a set (RFC 7517 section 5) that tokens can be verified with; those for other uses are passed over.

    Raises KeysError when it is not a set, or has none.
    """
    listed = _object(data, "not JSON").get("keys")
    if not isinstance(listed, list):
        raise KeysError("is not a set of keys")
    keys: list[Key] = []
    faults: list[str] = []
    for jwk in listed:
        if not isinstance(jwk, dict):
            continue
        try:
            keys.append(read_jwk(jwk))
        except KeysError as error:
            faults.append(str(error))
    if not keys:
        raise KeysError(f"has no key that tokens can be verified with ({faults[0] if faults else 'the set is empty'})")
    return tuple(keys)


def _object(data: bytes, otherwise: str) -> dict[str, object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise KeysError(f"is {otherwise}") from error
    if not isinstance(found, dict):
        raise KeysError(f"is {otherwise}")
    return found


def _key(key_id: str | None, public: object, algorithm: str | None) -> Key:
    match public:
        case RSAPublicKey():
            if public.key_size < MIN_RSA_BITS:
                raise KeysError(f"has {public.key_size} bits: RSA keys need {MIN_RSA_BITS} at least (RFC 7518)")
            algorithms = _RSA
        case EllipticCurvePublicKey():
            if public.curve.name not in _CURVES:
                raise KeysError(f"is on the curve {public.curve.name}, which no supported algorithm uses")
            algorithms = (_CURVES[public.curve.name],)
        case Ed25519PublicKey():
            algorithms = _ED25519
        case _:
            raise KeysError("is not a public RSA, EC or Ed25519 key")
    if algorithm is not None:
        if algorithm not in algorithms:
            raise KeysError("names an algorithm (alg) that does not fit the key")
        if algorithm not in _ED25519:
            algorithms = (algorithm,)
    return Key(key_id, public, algorithms)
