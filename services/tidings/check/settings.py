"""The settings of `tidings check`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tidings.auth.client_settings import Account, ClientSettings
from tidings.bus.settings import BusSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.secret_values import Token
from tidings.ops.settings.urls import BaseUrl, BaseUrlOrNone, BusUrl
from tidings.ops.settings.values import split_list, zero_or_at_least


def _some(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("must be a URL, such as http://127.0.0.1:8080")
    return urls


_BaseUrls = Annotated[tuple[BaseUrl, ...], BeforeValidator(split_list), AfterValidator(_some)]
_WEEK: Final = 604_800
_MAX_ACCOUNTS: Final = 10_000
_MAX_CLIENTS: Final = 10_000


class CheckSettings(BusSettings, ClientSettings):
    """Publish changes and see them arrive at clients of a gateway: one change, or many for some time."""

    help_group: ClassVar = HelpGroup(0, "What to check")

    ingest_url: _BaseUrls = Field(
        ("http://127.0.0.1:8081",), description="publisher to tell of changes; repeatable or comma-separated"
    )
    gateway_url: _BaseUrls = Field(
        ("http://127.0.0.1:8080",), description="gateway to listen to; repeatable or comma-separated"
    )
    through: BaseUrlOrNone = Field(
        "",
        description="URL that browsers use, such as https://mail.example: finds what the proxies on the way do wrong, "
        "instead of the other checks; --seconds is then how long connections stay silent",
    )
    account: Account = Field(
        "tidings-check", description="account to publish changes of; with several accounts, -1, -2, ... follow the name"
    )
    accounts: int = Field(1, ge=1, le=_MAX_ACCOUNTS, description="number of accounts")
    clients: int = Field(1, ge=1, le=_MAX_CLIENTS, description="number of clients that listen")
    seconds: Annotated[float, zero_or_at_least(0.1)] = Field(
        0.0,
        ge=0,
        le=_WEEK,
        description="how long to publish changes; 0: one change through each publisher, to each gateway",
    )
    rate: float = Field(10.0, ge=0.001, le=10_000, description="changes per second")
    timeout_seconds: float = Field(10.0, ge=0.1, le=3_600, description="how long a change may take to arrive")
    seed: int = Field(
        0,
        ge=0,
        le=2**63 - 1,
        description="decides which client does what, and when; 0: a random seed, which is printed",
    )
    bus: BusUrl = Field(
        "memory://", description="change log whose content is compared in the end; memory://: not compared"
    )
    ingest_token: Token = Field(None, description="token for the publisher")

    @model_validator(mode="after")
    def _something_is_told(self) -> Self:
        if 0 < self.seconds * self.rate < 1:
            raise ValueError(
                "--seconds (TIDINGS_SECONDS) end before the first change at --rate (TIDINGS_RATE): increase one of them"
            )
        return self
