from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.access import gatekeeper
from tidings.auth.gatekeeper import Gatekeeper, settled
from tidings.auth.push_tokens import MAX_ACCOUNT_BYTES, PushToken, PushTokens, tellable
from tidings.auth.verifying import PushTokenAuthentication
from tidings.errors import RequestRejected
from tidings.wire.change import account_fault

SECRET = "a secret of thirty-two bytes or more"
TOKENS = PushTokens(SECRET)


@given(st.lists(st.text(min_size=1), min_size=1).map(tuple), st.floats(0, 1e12), st.text())
def test_what_was_made_is_read_by_whoever_has_the_secret(accounts: tuple[str, ...], exp: float, api: str) -> None:
    token = PushToken(accounts, exp, api)
    text = TOKENS.make(token)
    assert PushTokens(SECRET).read(text) == token
    assert PushTokens(SECRET + ".").read(text) is None


@given(st.text())
def test_nothing_else_is_a_token(text: str) -> None:
    assert TOKENS.read(text) is None


def test_a_push_token_is_a_jwt_that_the_secret_itself_did_not_sign() -> None:
    """Whoever finds one in a log can show it to nobody but the push URLs."""
    text = TOKENS.make(PushToken(("alice",), time.time() + 60))
    head, said, _ = text.split(".")
    assert json.loads(urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(urlsafe_b64decode(said + "==="))["accounts"] == ["alice"]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(text, SECRET, ["HS256"])
    assert TOKENS.read(jwt.encode({"accounts": ["alice"], "exp": time.time() + 60}, SECRET, "HS256")) is None


def test_who_shows_one_is_its_accounts_until_it_ends() -> None:
    token = PushToken(("alice", "team"), 100.0)
    identity = token.identity({}, 99.0)
    assert (identity.username, identity.accounts, identity.expires) == ("alice", ("alice", "team"), 100.0)
    assert token.identity({"account": "team"}, 99.0).accounts == ("team",)
    with pytest.raises(RequestRejected) as foreign:
        token.identity({"account": "bob"}, 99.0)
    assert (foreign.value.code, foreign.value.reason) == (403, "foreign_account")
    with pytest.raises(RequestRejected) as expired:
        token.identity({}, 100.0)
    assert (expired.value.code, expired.value.reason) == (401, "expired_token")


@given(st.lists(st.text(max_size=300)).map(tuple))
def test_a_token_has_accounts_that_changes_can_be_of_and_fits_into_a_url(accounts: tuple[str, ...]) -> None:
    told = tellable(accounts)
    assert not any(account_fault(account) for account in told)
    assert len(TOKENS.make(PushToken(told, 1e12, "/jmap/"))) < 4_096
    assert list(told) == [account for account in accounts if account in told][: len(told)]


def test_many_accounts_are_cut() -> None:
    names = tuple(f"a{number}" for number in range(100))
    assert tellable(names) == names[:64]
    long = tuple(f"{number:0250d}" for number in range(100))
    assert tellable(long) == long[: MAX_ACCOUNT_BYTES // 253]
    assert tellable(("a/b", "alice")) == ("alice",)


def keeper() -> Gatekeeper:
    own = gatekeeper({"auth": "jwt", "jwt_secret": SECRET})
    return own.taking(lambda other: PushTokenAuthentication(TOKENS, other))


async def admitted(authorization: str, access_token: str) -> tuple[str, ...]:
    headers = {"host": "mail.example", "authorization": authorization}
    return (await settled(keeper().admit("GET", headers, {"access_token": access_token}, upgrade=False))).accounts


async def test_the_push_token_of_the_url_counts_whatever_is_shown_to_the_server_beside_it() -> None:
    text = TOKENS.make(PushToken(("alice",), time.time() + 60))
    for authorization in ("Bearer of-the-server", "Basic YWxpY2U6c2VjcmV0", ""):
        assert await admitted(authorization, text) == ("alice",)


async def test_other_tokens_are_verified_as_before() -> None:
    token = jwt.encode({"sub": "bob", "exp": time.time() + 60}, SECRET, "HS256")
    assert await admitted(f"Bearer {token}", "") == ("bob",)
    assert await admitted("", token) == ("bob",)
    with pytest.raises(RequestRejected) as refused:
        await admitted("Bearer of-the-server", "nothing")
    assert refused.value.code == 401


async def test_the_rules_that_were_taken_over_are_as_they_were() -> None:
    own = gatekeeper({"auth": "jwt", "jwt_secret": SECRET})
    more = own.taking(lambda other: PushTokenAuthentication(TOKENS, other))
    text = TOKENS.make(PushToken(("alice",), time.time() + 60))
    assert more.refusals is own.refusals
    with pytest.raises(RequestRejected):
        await settled(own.admit("GET", {"host": "mail.example"}, {"access_token": text}, upgrade=False))
