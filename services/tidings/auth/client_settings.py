"""Settings of a command that listens as a client does. Pure."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from tidings.ops.settings.fields import HelpGroup, Settings
from tidings.ops.settings.secret_values import Bearer, JwtSecret
from tidings.ops.settings.values import AccountClaim
from tidings.wire.change import account_fault


def _account(value: str) -> str:
    if fault := account_fault(value):
        raise ValueError(fault)
    return value


Account = Annotated[str, AfterValidator(_account)]
"""The name of an account."""


class ClientSettings(Settings):
    """The token that a client shows, or what one is made with."""

    help_group: ClassVar = HelpGroup(2, "Token for the gateway")

    client_token: Bearer = Field(None, description="JWT for the gateway; `tidings check` then uses its accounts")
    jwt_secret: JwtSecret = Field(None, description="HS256 secret of the gateway, to make such tokens")
    jwt_issuer: str | None = Field(None, description="`iss` of the tokens that are made")
    jwt_audience: str | None = Field(None, description="`aud` of the tokens that are made")
    jwt_account_claim: AccountClaim = Field("sub", description="claim of tokens that is their primary account")

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.client_token is not None and self.jwt_secret is not None:
            raise ValueError("TIDINGS_CLIENT_TOKEN and TIDINGS_JWT_SECRET: give one of them")
        return self
