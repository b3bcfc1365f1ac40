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

    help_group: ClassVar = HelpGroup(3, "Client authentication")

    auth: Literal["none", "jwt"] = Field(
        "none", description="none: the client names its account; jwt: a token says which accounts"
    )
    insecure: bool = Field(False, description="allow a listener without authentication off loopback")
    allow_origin: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = Field(
        (), description="another origin whose pages may connect; repeatable or comma-separated"
    )
    jwt_secret: JwtSecret = Field(None, description="HS256 secret that tokens are verified with, 32 bytes or more")
    jwt_key: Path | None = Field(
        None, description="file with the public key (RSA, EC, Ed25519) that tokens are verified with, as PEM or JWK"
    )
    jwks_url: HttpsUrl | None = Field(
        None, description="https address of the key set (JWKS) that tokens are verified with; fetched every 5 minutes"
    )
    jwt_issuer: str | None = Field(None, description="`iss` that tokens must have")
    jwt_audience: str | None = Field(
        None, description="`aud` that tokens must have; if not set, a token with `aud` is refused"
    )
    jwt_account_claim: AccountClaim = Field("sub", description="claim of tokens that is their primary account")
