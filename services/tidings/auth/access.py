"""The rules of one listener for clients, put together from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from tidings.auth.claims import Claims
from tidings.auth.gatekeeper import Authenticator, Gatekeeper, NoAuthentication
from tidings.auth.settings import AuthSettings
from tidings.auth.verifying import SecretAuthentication
from tidings.errors import KeysError, SettingsError
from tidings.ops.health import Health
from tidings.ops.http.loopback import is_this_machine
from tidings.ops.metrics import HotMetrics
from tidings.ops.pool import WorkerPool
from tidings.ops.service import Service

WEBMAIL_ORIGINS: Final = ("http://127.0.0.1:8082", "http://localhost:8082")
"""Allowed in mode none on loopback, so that the suite's own webmail on its own port works as installed."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClientAccess:
    """Who is let in, and the services that this needs."""

    gatekeeper: Gatekeeper
    services: tuple[Service, ...] = ()


def client_access(
    settings: AuthSettings, host: str, registry: CollectorRegistry, health: Health, pool: WorkerPool
) -> ClientAccess:
    """The rules for a listener on `host`. What it refuses is counted in `registry`.

    Raises SettingsError when the settings contradict each other, or would leave mail notifications open to the
    network.
    """
    keeper, services = _gatekeeper(settings, host, registry, health, pool)
    metrics = HotMetrics(registry)
    metrics.labelled_counter(
        "tidings_rejections",
        "Refused requests of clients (also of the webmail)",
        ["reason"],
        lambda: keeper.refusals.counts,
    )
    return ClientAccess(keeper, (keeper.refusals, *services))


def _gatekeeper(
    settings: AuthSettings, host: str, registry: CollectorRegistry, health: Health, pool: WorkerPool
) -> tuple[Gatekeeper, tuple[Service, ...]]:
    if settings.auth == "none":
        if not settings.insecure and not is_this_machine(host):
            raise SettingsError(
                f"--auth none on {host} would serve every account to the network: use --auth jwt, or --insecure"
            )
        origins = tuple(settings.allow_origin)
        keeper = Gatekeeper(
            NoAuthentication(),
            allow_origins=origins if settings.insecure else (*origins, *WEBMAIL_ORIGINS),
            loopback_hosts_only=not settings.insecure,
        )
        return keeper, ()
    authenticator, services = _token_authentication(settings, registry, health, pool)
    if settings.jwt_audience is None:
        _log.info("tokens with an aud are refused", reason="no audience is set (--jwt-audience)")
    keeper = Gatekeeper(authenticator, allow_origins=tuple(settings.allow_origin), loopback_hosts_only=False)
    return keeper, services


def _token_authentication(
    settings: AuthSettings, registry: CollectorRegistry, health: Health, pool: WorkerPool
) -> tuple[Authenticator, tuple[Service, ...]]:
    claims = Claims(settings.jwt_issuer, settings.jwt_audience, settings.jwt_account_claim)
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else ""
    if (bool(secret) + (settings.jwt_key is not None) + (settings.jwks_url is not None)) != 1:
        raise SettingsError(
            "--auth jwt needs exactly one of the HS256 secret in TIDINGS_JWT_SECRET, --jwt-key and --jwks-url"
        )
    if settings.jwt_key is not None:
        from tidings.auth.public_keys import KeyAuthentication, OneKey, read_key_file

        return KeyAuthentication(OneKey(read_key_file(settings.jwt_key)), pool, claims), ()
    if settings.jwks_url is not None:
        from tidings.auth.jwks import KeySet
        from tidings.auth.public_keys import KeyAuthentication

        keys = KeySet(settings.jwks_url, registry, health)
        return KeyAuthentication(keys, pool, claims), (keys,)
    try:
        return SecretAuthentication(secret, claims), ()
    except KeysError as error:
        raise SettingsError(f"TIDINGS_JWT_SECRET {error}: give a public key with --jwt-key") from None
