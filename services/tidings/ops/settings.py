"""Settings that services share, and how flags and TIDINGS_* variables become frozen values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    CliSuppress,
    NoDecode,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from tidings.errors import SettingsError
from tidings.wire.shard import DEFAULT_SHARDS, MAX_SHARDS

ENV_PREFIX: Final = "TIDINGS_"
BUS_SCHEMES: Final = ("memory", "amqp", "amqps")
BASE_URL: Final = r"^https?://[^/\s?#@]+/?$"
"""The pattern of the URL of another service, or of this one as others see it."""


def split_list(value: object) -> object:
    """The parts of a setting that is repeatable or comma-separated."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        return value
    return [part.strip() for item in listed for part in str(item).split(",") if part.strip()]


class Settings(BaseSettings):
    """The base of every command's settings."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_implicit_flags="toggle",
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
    )


class OpsSettings(Settings):
    """What every service carries."""

    admin_host: str = Field("127.0.0.1", description="address of the admin port; off loopback it needs a token")
    admin_port: int = Field(9090, ge=0, le=65535, description="admin port; 0 for any free one")
    admin_token: CliSuppress[SecretStr | None] = Field(
        None,
        min_length=16,
        description="token that whoever is not on loopback must present to the admin port; from the environment only",
    )
    heap_profile: int = Field(
        0,
        ge=0,
        le=64,
        description="frames to keep of each allocation's stack, for heap profiles; 0: none are traced. Costs a lot",
    )
    mutex_profile: bool = Field(False, description="measure waits for locks, full queues and the thread pool")
    probe_host: str = Field("127.0.0.1", description="address for probes and metrics; any is safe")
    probe_port: int = Field(9091, ge=0, le=65535, description="port for probes and metrics; 0 for any free one")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")


class BusSettings(Settings):
    """Where the change log is."""

    bus: str = Field("memory://", description="memory://, amqp://user:password@host:port/vhost or amqps://...")
    shards: int = Field(
        DEFAULT_SHARDS,
        ge=1,
        le=MAX_SHARDS,
        description="shards of the log; the same in every service, for the life of the installation",
    )

    @field_validator("bus")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            known = parts.scheme in BUS_SCHEMES and (parts.scheme == "memory" or bool(parts.hostname))
        except ValueError:
            known = False
        if not known:
            raise ValueError("must be memory://, amqp://user:password@host:port/vhost or amqps://...")
        return value

    @property
    def bus_in_memory(self) -> bool:
        """Whether the log lives and dies with the process."""
        return self.bus.startswith("memory:")


class AuthSettings(Settings):
    """Who may listen to which accounts."""

    auth: Literal["none", "jwt"] = Field("none", description="none: the client names its account; jwt: a token does")
    insecure: bool = Field(False, description="allow a listener without authentication off loopback")
    allow_origin: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origin whose pages may connect beside our own; repeatable or comma-separated"
    )
    jwt_secret: CliSuppress[SecretStr | None] = Field(
        None, description="HS256 secret, at least 32 bytes; from the environment only"
    )
    jwt_key: Path | None = Field(
        None, description="file with the public key (RSA, EC, Ed25519) that tokens are verified with, as PEM or JWK"
    )
    jwks_url: str | None = Field(
        None, description="https address of the key set (JWKS) that tokens are verified with; fetched again as it ages"
    )
    jwt_issuer: str | None = Field(None, description="required `iss` of tokens")
    jwt_audience: str | None = Field(None, description="required `aud` of tokens")

    @field_validator("allow_origin", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_list(value)

    @field_validator("allow_origin")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            # Applications have schemes of their own.
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s]+/?", origin):
                raise ValueError(f"{origin!r} is no origin, as https://mail.example or http://127.0.0.1:8082 are")
        return value

    @field_validator("jwks_url")
    @classmethod
    def _is_https(cls, value: str | None) -> str | None:
        try:
            good = value is None or (urlsplit(value).scheme == "https" and bool(urlsplit(value).hostname))
        except ValueError:
            good = False
        if not good:
            raise ValueError("must be https://...: whoever could change the keys on the way could let anybody in")
        return value


def is_secret(settings: type[BaseSettings], name: str) -> bool:
    """Whether a field holds a secret: taken from the environment only, since other users see flags."""
    return "SecretStr" in repr(settings.model_fields[name].annotation)


S = TypeVar("S", bound=Settings)


def parse(settings: type[S], prog: str, argv: Sequence[str]) -> S:
    """Settings from flags, then environment, then defaults. `--help` prints and raises SystemExit(0).

    Raises SettingsError, one line that names the flag, for anything that is wrong.
    """
    for name in settings.model_fields:
        if is_secret(settings, name) and any(arg.split("=", 1)[0] == _flag(name) for arg in argv):
            raise SettingsError(f"{_flag(name)} would show in the process list: set {_variable(name)} instead")
    source: CliSettingsSource[argparse.ArgumentParser] = CliSettingsSource(settings, cli_prog_name=prog)
    source.root_parser.epilog = "Every flag has its variable: --log-level is TIDINGS_LOG_LEVEL."
    try:
        return CliApp.run(settings, cli_args=list(argv), cli_settings_source=source)
    except ValidationError as error:
        faults = "; ".join(_fault(detail) for detail in error.errors(include_url=False, include_input=False))
        raise SettingsError(faults) from None
    except SourceError as error:
        raise SettingsError(f"{str(error).removeprefix('error parsing CLI: ')} (see {prog} --help)") from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"{ENV_PREFIX}{name.upper()}"


def _fault(detail: ErrorDetails) -> str:
    """What is wrong with one setting. It does not repeat the value, which may hold a password."""
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    name = str(detail["loc"][0])
    return f"{_flag(name)} ({_variable(name)}): {message[:1].lower()}{message[1:]}"
