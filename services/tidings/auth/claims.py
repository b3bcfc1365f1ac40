"""What a JSON Web Token (RFC 7519) says, once its signature is verified: who it speaks for, and until when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final

import msgspec

from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.wire.change import account_fault

LEEWAY_SECONDS: Final = 30
MAX_ACCOUNTS: Final = 64


class _Said(msgspec.Struct, gc=False):
    """The claims that are looked at (RFC 7519 section 4.1, and `accounts`), of the types that they must have."""

    account: str
    exp: float
    accounts: Annotated[list[str], msgspec.Meta(max_length=MAX_ACCOUNTS - 1)] = []
    iss: str | msgspec.UnsetType = msgspec.UNSET
    aud: str | list[str] | msgspec.UnsetType = msgspec.UNSET
    nbf: float = 0.0
    iat: float = 0.0
    jti: str = ""


@cache
def _decoder(account_claim: str) -> msgspec.json.Decoder[_Said]:
    """Reads claims, the account from the claim of this name."""
    account = ("account", str, msgspec.field(name=account_claim))
    return msgspec.json.Decoder(msgspec.defstruct("_Named", [account], bases=(_Said,), gc=False, kw_only=True))


def bad_token(detail: str = "the token is not valid here") -> RequestRejected:
    """The rejection of a token. What was signed by somebody else gets no detail."""
    return RequestRejected(401, "bad_token", detail)


def required(token: str | None) -> str:
    """The token of a request. Raises RequestRejected (401) where there is none."""
    if token is None:
        raise RequestRejected(401, "no_token", "a token is required")
    return token


def narrowed(accounts: tuple[str, ...], query: Mapping[str, str]) -> tuple[str, ...]:
    """A token's accounts, or the one of them that `?account=` asks for. Raises RequestRejected (403) for any other."""
    wanted = query.get("account")
    if wanted is None:
        return accounts
    if wanted not in accounts:
        raise RequestRejected(403, "foreign_account", "the token does not name this account")
    return (wanted,)


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked of tokens beside a signature.

    The claim `account_claim` is the primary account, `accounts` lists more. `exp` is required, and so is `iss` where an
    issuer is given. A token that has an `aud` is good only where an audience is given that the `aud` names (RFC 7519
    section 4.1.3).
    """

    issuer: str | None = None
    audience: str | None = None
    account_claim: str = "sub"

    def identity(self, payload: bytes, query: Mapping[str, str], now: float) -> Identity:
        """Whom a verified payload speaks for at `now`, in Unix seconds; `?account=` narrows it to one of its accounts.

        Raises RequestRejected with 401 or 403.
        """
        try:
            said = _decoder(self.account_claim).decode(payload.decode())
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            raise bad_token(f"the token's claims: {error}") from None
        if now >= said.exp + LEEWAY_SECONDS:
            raise RequestRejected(401, "expired_token", "the token has expired")
        if max(said.nbf, said.iat) > now + LEEWAY_SECONDS:
            raise bad_token("the token is not valid yet")
        if self.issuer is not None and said.iss != self.issuer:
            raise bad_token("the issuer (iss) of the token is not the trusted one")
        self._check_audience(said.aud)
        accounts = tuple(dict.fromkeys((said.account, *said.accounts))) if said.accounts else (said.account,)
        if any(map(account_fault, accounts)):
            raise bad_token(f"{self.account_claim} and accounts must be account names")
        return Identity(said.account, narrowed(accounts, query), said.exp + LEEWAY_SECONDS)

    def _check_audience(self, said: str | list[str] | msgspec.UnsetType) -> None:
        if said is msgspec.UNSET:
            if self.audience is not None:
                raise bad_token("the token has no aud, and this gateway requires one")
        elif self.audience is None:
            raise bad_token("the token has an aud, and this gateway has no audience (--jwt-audience)")
        elif self.audience != said and (isinstance(said, str) or self.audience not in said):
            raise bad_token("the token is for another audience")
