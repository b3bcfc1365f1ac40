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
        raise ValueError("names no URL, such as http://127.0.0.1:8080")
    return urls


_BaseUrls = Annotated[tuple[BaseUrl, ...], BeforeValidator(split_list), AfterValidator(_some)]
_WEEK: Final = 604_800
_MAX_ACCOUNTS: Final = 10_000
_MAX_CLIENTS: Final = 10_000


class CheckSettings(BusSettings, ClientSettings):
    """Tell a publisher of changes and see them arrive at a gateway: one change, or many for some time."""

    help_group: ClassVar = HelpGroup(0, "What to check")

    ingest_url: _BaseUrls = Field(
        ("http://127.0.0.1:8081",), description="publisher to tell; repeatable or comma-separated"
    )
    gateway_url: _BaseUrls = Field(
        ("http://127.0.0.1:8080",), description="gateway to listen to; repeatable or comma-separated"
    )
    through: BaseUrlOrNone = Field(
        "",
        description="URL that browsers use, such as https://mail.example: looks for what the proxies on the way do "
        "wrong, in place of the rest; --seconds is then for how long connections are silent",
    )
    account: Account = Field(
        "tidings-check", description="account to tell changes of; several get -1, -2, ... behind it"
    )
    accounts: int = Field(1, ge=1, le=_MAX_ACCOUNTS, description="how many accounts")
    clients: int = Field(1, ge=1, le=_MAX_CLIENTS, description="how many clients")
    seconds: Annotated[float, zero_or_at_least(0.1)] = Field(
        0.0, ge=0, le=_WEEK, description="how long to tell changes; 0: one change, and no client misbehaves"
    )
    rate: float = Field(10.0, ge=0.001, le=10_000, description="changes per second")
    timeout_seconds: float = Field(10.0, ge=0.1, le=3_600, description="how long a change may take to arrive")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="what clients do when; 0 takes one at random and prints it")
    bus: BusUrl = Field("memory://", description="change log to compare with in the end; memory:// compares with none")
    ingest_token: Token = Field(None, description="token for the publisher")

    @model_validator(mode="after")
    def _something_is_told(self) -> Self:
        if 0 < self.seconds * self.rate < 1:
            raise ValueError(
                "--seconds (TIDINGS_SECONDS) are over before --rate (TIDINGS_RATE) tells of a first change: "
                "give more of either"
            )
        return self
