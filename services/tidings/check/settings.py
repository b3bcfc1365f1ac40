"""The settings of `tidings check`."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import CliSuppress, NoDecode

from tidings.ops.settings import BASE_URL, BusSettings, split_list
from tidings.wire.change import account_fault

_BaseUrl = Annotated[str, Field(pattern=BASE_URL)]
_MAX_ACCOUNTS: Final = 10_000
_MAX_CLIENTS: Final = 10_000


class CheckSettings(BusSettings):
    """Tell a publisher of changes and see them arrive at a gateway: one change, or many for some time."""

    ingest_url: Annotated[tuple[_BaseUrl, ...], NoDecode] = Field(
        ("http://127.0.0.1:8081",), min_length=1, description="publisher to tell; repeatable or comma-separated"
    )
    gateway_url: Annotated[tuple[_BaseUrl, ...], NoDecode] = Field(
        ("http://127.0.0.1:8080",), min_length=1, description="gateway to listen to; repeatable or comma-separated"
    )
    account: str = Field("tidings-check", description="account to tell changes of; several get -1, -2, ... behind it")
    accounts: int = Field(1, ge=1, le=_MAX_ACCOUNTS, description="how many accounts")
    clients: int = Field(1, ge=1, le=_MAX_CLIENTS, description="how many clients")
    seconds: float = Field(0.0, ge=0, description="how long to tell changes; 0: one change, and no client misbehaves")
    rate: float = Field(10.0, gt=0, le=10_000, description="changes per second")
    timeout_seconds: float = Field(10.0, gt=0, description="how long a change may take to arrive")
    seed: int = Field(0, ge=0, description="what clients do when; 0 takes one at random and prints it")
    bus: str = Field("memory://", description="change log to compare with in the end; memory:// compares with none")
    ingest_token: CliSuppress[SecretStr | None] = Field(
        None, description="token for the publisher; from the environment only"
    )
    client_token: CliSuppress[SecretStr | None] = Field(
        None, description="JWT for the gateway, whose accounts are then taken; from the environment only"
    )
    jwt_secret: CliSuppress[SecretStr | None] = Field(
        None, description="HS256 secret to make such tokens with; from the environment only"
    )
    jwt_issuer: str | None = Field(None, description="`iss` of the tokens that are made")
    jwt_audience: str | None = Field(None, description="`aud` of the tokens that are made")

    @field_validator("ingest_url", "gateway_url", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_list(value)

    @field_validator("account")
    @classmethod
    def _is_account(cls, value: str) -> str:
        if fault := account_fault(value):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.client_token is not None and self.jwt_secret is not None:
            raise ValueError("TIDINGS_CLIENT_TOKEN and TIDINGS_JWT_SECRET: give one of them")
        return self
