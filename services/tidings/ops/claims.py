"""What a JSON Web Token (RFC 7519) says, once its signature is verified: who it speaks for, and until when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from tidings.errors import RequestRejected
from tidings.ops.auth import Identity
from tidings.wire.change import account_fault

LEEWAY_SECONDS: Final = 30
MAX_ACCOUNTS: Final = 64


class _Said(msgspec.Struct, gc=False):
    """The claims that are looked at (RFC 7519 section 4.1, and `accounts`), of the types that they must have."""

    sub: str
    exp: float
    accounts: Annotated[list[str], msgspec.Meta(max_length=MAX_ACCOUNTS - 1)] = []
    iss: str | None = None
    aud: str | list[str] | None = None
    nbf: float = 0.0
    iat: float = 0.0
    jti: str = ""


_said = msgspec.json.Decoder(_Said).decode


def bad_token(detail: str = "the token is not valid here") -> RequestRejected:
    """The rejection of a token. What was signed by somebody else gets no detail."""
    return RequestRejected(401, "bad_token", detail)


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked of tokens beside a signature: `sub` is the primary account, `accounts` lists more, `exp` is
    required; `iss` and `aud` where they are given.
    """

    issuer: str | None = None
    audience: str | None = None

    def identity(self, payload: bytes, query: Mapping[str, str], now: float) -> Identity:
        """Whom a verified payload speaks for at `now`, in Unix seconds; `?account=` narrows it to one of its accounts.

        Raises RequestRejected with 401 or 403.
        """
        try:
            said = _said(payload.decode())
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise bad_token(f"the token's claims: {error}") from None
        if now >= said.exp + LEEWAY_SECONDS:
            raise RequestRejected(401, "expired_token", "the token has expired")
        if max(said.nbf, said.iat) > now + LEEWAY_SECONDS:
            raise bad_token("the token is not valid yet")
        if self.issuer is not None and said.iss != self.issuer:
            raise bad_token("the token is not of the issuer that is trusted here")
        audiences = (said.aud,) if isinstance(said.aud, str) else said.aud or ()
        if self.audience is not None and self.audience not in audiences:
            raise bad_token("the token is not for this audience")
        accounts = tuple(dict.fromkeys((said.sub, *said.accounts)))
        if any(account_fault(account) for account in accounts):
            raise bad_token("sub and accounts must be account names")
        wanted = query.get("account")
        if wanted is not None:
            if wanted not in accounts:
                raise RequestRejected(403, "foreign_account", "the token does not name this account")
            accounts = (wanted,)
        return Identity(said.sub, accounts, said.exp + LEEWAY_SECONDS)
