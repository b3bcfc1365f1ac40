"""`tidings token`: make a token, or say why a gateway with the same settings would refuse one."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Final

import jwt
from prometheus_client import CollectorRegistry

from tidings.auth.access import ClientAccess, client_access
from tidings.auth.claims import bad_token
from tidings.auth.gatekeeper import settled
from tidings.auth.identity import Identity
from tidings.auth.minting import minted
from tidings.errors import RequestRejected
from tidings.oncall.token_settings import TokenSettings
from tidings.ops import logs
from tidings.ops.health import Health
from tidings.ops.pool import WorkerPool
from tidings.ops.printable import plain

HOST: Final = "127.0.0.1"


def run(settings: TokenSettings) -> int:
    """Make or check; the exit code. Raises SettingsError for settings that a gateway would refuse too."""
    if settings.action == "make":
        sys.stdout.write(f"{_made(settings)}\n")
        return 0
    logs.configure("auto", "warning")
    token = settings.client_token.get_secret_value() if settings.client_token is not None else ""
    try:
        identity = asyncio.run(_identity(settings, token))
    except RequestRejected as error:
        # A gateway says nothing of what somebody else has signed.
        more = why(token, settings) if error.detail == bad_token().detail else ""
        said = f"refused with {error.code} ({error.reason}): {error.detail}{more}"
        sys.stdout.write(f"{plain(said)}\n")
        return 1
    expires = "never" if identity.expires is None else datetime.fromtimestamp(identity.expires, UTC).isoformat()
    sys.stdout.write(plain(f"taken: accounts {', '.join(identity.accounts)}; it ends {expires}") + "\n")
    return 0


def why(token: str, settings: TokenSettings) -> str:
    """What a token's header says of why its signature may be no good: a gateway itself does not say that. Pure."""
    try:
        algorithm = jwt.get_unverified_header(token).get("alg")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return "; it is not a JSON Web Token in the compact form of RFC 7515"
    if settings.jwt_secret is not None and algorithm != "HS256":
        return f"; it is signed with {algorithm}, and TIDINGS_JWT_SECRET verifies HS256 alone"
    if settings.jwt_secret is None and algorithm == "HS256":
        return "; it is signed with a shared secret (HS256), and the gateway verifies public keys"
    signer = "secret" if algorithm == "HS256" else "key"
    return f"; its signature was made with another {signer} than the one that is set here"


def _made(settings: TokenSettings) -> str:
    assert settings.jwt_secret is not None  # noqa: S101 - the settings have refused that
    return minted(
        settings.jwt_secret.get_secret_value(),
        settings.account,
        int(time.time()) + settings.seconds,
        settings.jwt_account_claim,
        settings.jwt_issuer,
        settings.jwt_audience,
    )


async def _identity(settings: TokenSettings, token: str) -> Identity:
    """Whom a gateway would take the bearer for. Raises RequestRejected."""
    registry = CollectorRegistry()
    pool = WorkerPool(registry)
    access = client_access(settings.model_copy(update={"auth": "jwt"}), HOST, registry, Health(), pool)
    try:
        return await _admitted(access, token)
    finally:
        pool.close()


async def _admitted(access: ClientAccess, token: str) -> Identity:
    for service in access.services:
        await service.start()
    try:
        headers = {"authorization": f"Bearer {token}", "host": HOST}
        return await settled(access.gatekeeper.admit("GET", headers, {}, upgrade=False))
    finally:
        for service in reversed(access.services):
            await service.stop()
