"""Settings of whoever checks who may listen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tidings.ops.settings.fields import HelpGroup, Settings
from tidings.ops.settings.secret_values import JwtSecret
from tidings.ops.settings.urls import HttpsUrl, Origin
from tidings.ops.settings.values import AccountClaim, split_list


class AuthSettings(Settings):
    """Who may listen to which accounts."""

    help_group: ClassVar = HelpGroup(3, "Who may listen")

    auth: Literal["none", "jwt"] = Field("none", description="none: the client names its account; jwt: a token does")
    insecure: bool = Field(False, description="allow a listener without authentication off loopback")
    allow_origin: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = Field(
        (), description="origin whose pages may connect beside our own; repeatable or comma-separated"
    )
    jwt_secret: JwtSecret = Field(None, description="HS256 secret that tokens are verified with, 32 bytes or more")
    jwt_key: Path | None = Field(
        None, description="file with the public key (RSA, EC, Ed25519) that tokens are verified with, as PEM or JWK"
    )
    jwks_url: HttpsUrl | None = Field(
        None, description="https address of the key set (JWKS) that tokens are verified with; fetched again as it ages"
    )
    jwt_issuer: str | None = Field(None, description="required `iss` of tokens")
    jwt_audience: str | None = Field(
        None, description="required `aud` of tokens; without it a token that has an `aud` is refused"
    )
    jwt_account_claim: AccountClaim = Field("sub", description="claim of tokens that is their primary account")
