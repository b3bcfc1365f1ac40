from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.auth.claims import LEEWAY_SECONDS, MAX_ACCOUNTS, Claims, _Said
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected
from tidings.ops.settings.values import RESERVED_CLAIMS

NOW = 1_800_000_000
GOOD = {"sub": "alice", "exp": NOW + 60}
ANY = Claims()
STRICT = Claims("https://id.example", "tidings")


def read(claims: object, asked: Claims = ANY, **query: str) -> Identity | tuple[int, str, str]:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    try:
        return asked.identity(payload, query, NOW)
    except RequestRejected as error:
        return error.code, error.reason, error.detail


def refusal(claims: object, asked: Claims = ANY, **query: str) -> tuple[int, str, str]:
    refused = read(claims, asked, **query)
    assert not isinstance(refused, Identity)
    return refused


def test_who_a_token_speaks_for() -> None:
    claims = {**GOOD, "accounts": ["team", "alice", "board"], "name": "Alice", "nbf": NOW, "iat": NOW, "jti": "1"}
    everything = Identity("alice", ("alice", "team", "board"), NOW + 60.0 + LEEWAY_SECONDS)
    assert read(claims) == everything
    assert read(claims, account="team") == Identity("alice", ("team",), everything.expires)
    assert refusal(claims, account="bob") == (403, "foreign_account", "the token does not name this account")


def test_a_token_ends_with_its_leeway() -> None:
    assert refusal({**GOOD, "exp": NOW - LEEWAY_SECONDS})[:2] == (401, "expired_token")
    assert isinstance(read({**GOOD, "exp": NOW - LEEWAY_SECONDS + 1}), Identity)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_begins_with_its_leeway(name: str) -> None:
    assert refusal({**GOOD, name: NOW + LEEWAY_SECONDS + 1}) == (401, "bad_token", "the token is not valid yet")
    assert isinstance(read({**GOOD, name: NOW + LEEWAY_SECONDS}), Identity)


@pytest.mark.parametrize("audience", ["tidings", ["tidings"], ["other", "tidings"]])
def test_issuer_and_audience_that_are_asked_for(audience: object) -> None:
    assert isinstance(read({**GOOD, "iss": "https://id.example", "aud": audience}, STRICT), Identity)


@pytest.mark.parametrize(
    "wrong", [{"iss": "x"}, {"iss": None}, {"aud": "x"}, {"aud": []}, {"aud": None}, {"aud": "tiding"}]
)
def test_other_issuers_and_audiences_are_refused(wrong: dict[str, object]) -> None:
    claims = {**GOOD, "iss": "https://id.example", "aud": "tidings"}
    assert refusal({**claims, **wrong}, STRICT)[:2] == (401, "bad_token")
    assert refusal({name: value for name, value in claims.items() if name not in wrong}, STRICT)[:2] == (
        401,
        "bad_token",
    )


@pytest.mark.parametrize("audience", ["billing", "", ["billing"], []])
def test_without_an_audience_no_token_is_good_that_has_one(audience: object) -> None:
    for asked in (ANY, Claims("https://id.example")):
        code, reason, detail = refusal({**GOOD, "iss": "https://id.example", "aud": audience}, asked)
        assert (code, reason) == (401, "bad_token")
        assert "--jwt-audience" in detail


@pytest.mark.parametrize("claim", ["preferred_username", "https://mail.example/account", "a.b", "é", "account"])
def test_the_account_may_come_from_another_claim(claim: str) -> None:
    asked = Claims(account_claim=claim)
    named = {**GOOD, "sub": "f7a0c1", claim: "alice@mail.example", "accounts": ["team"]}
    found = read(named, asked)
    assert isinstance(found, Identity)
    assert (found.username, found.accounts) == ("alice@mail.example", ("alice@mail.example", "team"))
    assert isinstance(read({"exp": GOOD["exp"], claim: "alice"}, asked), Identity)
    for wrong in ({}, {claim: 7}, {claim: None}, {claim: ["alice"]}, {claim: ""}, {claim: "a/b"}):
        code, reason, detail = refusal({**GOOD, **wrong}, asked)
        assert (code, reason) == (401, "bad_token")
        assert claim in detail


def test_a_claim_that_says_something_else_is_not_the_accounts() -> None:
    assert set(_Said.__struct_fields__) - {"account"} == RESERVED_CLAIMS


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"exp": NOW}, "`sub`"),
        ({"sub": "alice"}, "`exp`"),
        ({**GOOD, "sub": 1}, "`$.sub`"),
        ({**GOOD, "exp": "soon"}, "`$.exp`"),
        ({**GOOD, "exp": True}, "`$.exp`"),
        ({**GOOD, "exp": None}, "`$.exp`"),
        ({**GOOD, "exp": []}, "`$.exp`"),
        ({**GOOD, "exp": 10**400}, "`$.exp`"),
        ({**GOOD, "nbf": None}, "`$.nbf`"),
        ({**GOOD, "jti": 1}, "`$.jti`"),
        ({**GOOD, "aud": {}}, "`$.aud`"),
        ({**GOOD, "aud": None}, "`$.aud`"),
        ({**GOOD, "aud": [1]}, "`$.aud[0]`"),
        ({**GOOD, "accounts": "team"}, "`$.accounts`"),
        ({**GOOD, "accounts": [1]}, "`$.accounts[0]`"),
        ({**GOOD, "accounts": [str(number) for number in range(MAX_ACCOUNTS)]}, f"<= {MAX_ACCOUNTS - 1}"),
        ({**GOOD, "exp": math.inf}, "byte"),
        (b"", "truncated"),
        (b"[]", "`object`"),
        (b'{"sub":"\xff"}', "utf-8"),
        (b'{"x":' + b"[" * 100_000, "recursion"),
        ({**GOOD, "sub": "a/b"}, "account names"),
        ({**GOOD, "accounts": [""]}, "account names"),
    ],
)
def test_claims_that_are_none_are_named(claims: object, named: str) -> None:
    code, reason, detail = refusal(claims)
    assert (code, reason) == (401, "bad_token")
    assert named in detail


_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 0.0, 1e308, "", "alice", "tidings", "https://id.example", [], ["tidings"], [1], {}]
) | st.integers(NOW - 100, NOW + 100)
_CLAIMS = st.fixed_dictionaries(
    {"sub": st.just("alice"), "exp": st.integers(NOW - 100, NOW + 100)},
    optional=dict.fromkeys(("iss", "aud", "nbf", "iat", "jti"), _VALUES),
) | st.dictionaries(st.sampled_from(["sub", "exp", "iss", "aud", "nbf", "iat", "jti"]), _VALUES)


@given(claims=_CLAIMS, asked=st.sampled_from([ANY, STRICT, Claims(audience="tidings")]))
def test_nothing_is_let_in_that_the_library_refuses(claims: dict[str, Any], asked: Claims) -> None:
    if not isinstance(read(claims, asked), Identity):
        return
    # The library asks the clock.
    moved = int(datetime.now(UTC).timestamp()) - NOW
    at_present = {
        name: value + moved if name in ("exp", "nbf", "iat") and abs(value) < 2 * NOW else value
        for name, value in claims.items()
    }
    jwt.decode(
        jwt.encode(at_present, "x" * 32),
        "x" * 32,
        ["HS256"],
        {"require": ["exp", "sub"]},
        issuer=asked.issuer,
        audience=asked.audience,
        # A second may pass between the two.
        leeway=LEEWAY_SECONDS + 5,
    )
