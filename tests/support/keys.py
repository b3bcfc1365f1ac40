"""Key pairs, the tokens they sign, and an https server that gives their public halves away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import get_default_algorithms

LONG_SECONDS = 600.0

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@cache
def private_key(algorithm: str, which: int = 0) -> PrivateKey:
    """A key pair for an algorithm; `which` of them. Made once: RSA takes a moment."""
    match algorithm:
        case "ES256":
            return generate_ec(SECP256R1())
        case "ES384":
            return generate_ec(SECP384R1())
        case "ES512":
            return generate_ec(SECP521R1())
        case "EdDSA":
            return Ed25519PrivateKey.generate()
        case _:
            return generate_rsa(65537, 2048)


def pem(key: PrivateKey) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: PrivateKey) -> bytes:
    """Both halves."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(key: PrivateKey, algorithm: str, **members: object) -> dict[str, Any]:
    """The public half."""
    written = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return {**written, **members}


def token(key: PrivateKey, algorithm: str, key_id: str | None = None, **claims: object) -> str:
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, key, algorithm, headers=headers)


def forged(public: bytes, **headers: object) -> str:
    """A token that takes a public key, which everybody knows, for an HS256 secret. The library refuses to make it."""

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = json.dumps({"alg": "HS256", "typ": "JWT", **headers}).encode()
    claims = json.dumps({"sub": "alice", "exp": int(time.time()) + 60}).encode()
    signed = part(head) + b"." + part(claims)
    return (signed + b"." + part(hmac.digest(public, signed, hashlib.sha256))).decode()


class KeyServer:
    """Answers every request with `body` and `status`, once `answering` is set."""

    def __init__(self) -> None:
        self.body = b'{"keys":[]}'
        self.status = b"200 OK"
        self.requests = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.url = ""

    def hold_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer nothing until `answering` is set. Nobody gives up before: a busy machine takes its time."""
        self.answering.clear()
        monkeypatch.setattr("tidings.auth.jwks.FETCH_SECONDS", LONG_SECONDS)
        monkeypatch.setattr("tidings.gateway.entrance.checking.CHECK_SECONDS", LONG_SECONDS)

    def offer(self, *keys: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": keys}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                await self.answering.wait()
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (self.status, len(self.body)) + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def key_server(certificate: Path) -> AsyncIterator[KeyServer]:
    server = KeyServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"https://127.0.0.1:{port}/keys"
        yield server
        server.answering.set()
