"""The rules of one listener for clients, put together from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from tidings.errors import KeysError, SettingsError
from tidings.ops.auth import Authenticator, Gatekeeper, NoAuthentication, is_loopback
from tidings.ops.claims import Claims
from tidings.ops.jwks import KeySet
from tidings.ops.keys import Key, read_key
from tidings.ops.lifecycle import Runtime, Service
from tidings.ops.settings import AuthSettings
from tidings.ops.verifying import KeyAuthentication, OneKey, SecretAuthentication

MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key has at least 256 bits."""
WEBMAIL_ORIGINS: Final = ("http://127.0.0.1:8082", "http://localhost:8082")
"""Allowed in mode none on loopback, so that the suite's own webmail on its own port works as installed."""


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """Who is let in, and the services that this needs."""

    gatekeeper: Gatekeeper
    services: tuple[Service, ...] = ()


def client_access(settings: AuthSettings, host: str, runtime: Runtime) -> ClientAccess:
    """The rules for a listener on `host`.

    Raises SettingsError when the settings contradict each other, or would leave mail notifications open to the
    network.
    """
    if settings.auth == "none":
        if not settings.insecure and not is_loopback(host):
            raise SettingsError(
                f"--auth none on {host} would serve every account to the network: use --auth jwt, or --insecure"
            )
        origins = tuple(settings.allow_origin)
        return ClientAccess(
            Gatekeeper(
                NoAuthentication(),
                allow_origins=origins if settings.insecure else (*origins, *WEBMAIL_ORIGINS),
                loopback_hosts_only=not settings.insecure,
            )
        )
    authenticator, services = _token_authentication(settings, runtime)
    keeper = Gatekeeper(authenticator, allow_origins=tuple(settings.allow_origin), loopback_hosts_only=False)
    return ClientAccess(keeper, services)


def _token_authentication(settings: AuthSettings, runtime: Runtime) -> tuple[Authenticator, tuple[Service, ...]]:
    claims = Claims(settings.jwt_issuer, settings.jwt_audience)
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else ""
    if (bool(secret) + (settings.jwt_key is not None) + (settings.jwks_url is not None)) != 1:
        raise SettingsError(
            "--auth jwt needs exactly one of the HS256 secret in TIDINGS_JWT_SECRET, --jwt-key and --jwks-url"
        )
    if settings.jwt_key is not None:
        return KeyAuthentication(OneKey(_read_key_file(settings.jwt_key)), runtime.pool, claims), ()
    if settings.jwks_url is not None:
        keys = KeySet(settings.jwks_url, runtime.registry, runtime.health)
        return KeyAuthentication(keys, runtime.pool, claims), (keys,)
    if len(secret.encode()) < MIN_SECRET_BYTES:
        structlog.get_logger().warning(
            "short jwt secret", bytes=len(secret.encode()), recommended_bytes=MIN_SECRET_BYTES
        )
    try:
        return SecretAuthentication(secret, claims), ()
    except KeysError as error:
        raise SettingsError(f"TIDINGS_JWT_SECRET {error}: give a public key with --jwt-key") from None


def _read_key_file(path: Path) -> Key:
    try:
        return read_key(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"--jwt-key {path}: {error.strerror}") from None
    except KeysError as error:
        raise SettingsError(f"--jwt-key {path} {error}") from None
