"""The settings of `tidings token`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tidings.auth.client_settings import Account
from tidings.auth.settings import AuthSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.secret_values import Bearer
from tidings.ops.settings.values import split_list


class TokenSettings(AuthSettings):
    """Make a token for a client, or say whether a gateway with the same settings accepts one, and why not.

    The token to check is in TIDINGS_CLIENT_TOKEN. The exit code is 0 when the token is accepted, else 1.
    """

    help_group: ClassVar = HelpGroup(0, "Which token")
    arguments: ClassVar[tuple[str, ...]] = ("action",)

    action: Literal["make", "check"] = Field(description="make: print a new token; check: say why one is refused")
    account: Annotated[tuple[Account, ...], BeforeValidator(split_list)] = Field(
        (), description="account of the new token, the primary one first; repeatable or comma-separated"
    )
    seconds: int = Field(3_600, ge=1, le=31_536_000, description="how long the new token is valid")
    client_token: Bearer = Field(None, description="token to check")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.action == "make" and (not self.account or self.jwt_secret is None):
            raise ValueError("make needs --account, and the HS256 secret in TIDINGS_JWT_SECRET")
        if self.action == "check" and self.client_token is None:
            raise ValueError("check needs the token in TIDINGS_CLIENT_TOKEN")
        return self
