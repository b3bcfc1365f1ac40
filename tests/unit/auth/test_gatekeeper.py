from __future__ import annotations

import math
import time
from collections.abc import Mapping

import jwt
import pytest

from tests.support.access import gatekeeper
from tidings.auth.gatekeeper import Gatekeeper
from tidings.auth.identity import Identity
from tidings.errors import RequestRejected, SettingsError
from tidings.ops.http.loopback import is_own_origin

SECRET = "a secret of thirty-two bytes or more"


def keeper(host: str = "127.0.0.1", **settings: object) -> Gatekeeper:
    return gatekeeper(settings, host)


def admit(
    keeper: Gatekeeper,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    upgrade: bool = False,
) -> Identity:
    given = {"host": "127.0.0.1:8080", **(headers or {})}
    admitted = keeper.admit(method, given, query or {}, upgrade=upgrade)
    assert isinstance(admitted, Identity)
    return admitted


def reason(keeper: Gatekeeper, *args: Mapping[str, str], method: str = "GET", upgrade: bool = False) -> str:
    with pytest.raises(RequestRejected) as caught:
        admit(keeper, *args, method=method, upgrade=upgrade)
    return f"{caught.value.code} {caught.value.reason}"


def token(**claims: object) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, SECRET, "HS256")


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://mail.example", "mail.example", True),
        ("http://mail.example:80", "mail.example", True),
        ("https://mail.example", "mail.example:443", True),
        ("HTTPS://Mail.Example", "mail.example", True),
        ("https://mail.example:8443", "mail.example", False),
        ("http://mail.example:8080", "mail.example:8080", True),
        ("http://mail.example.evil", "mail.example", False),
        ("http://evil@mail.example", "mail.example", False),
        ("http://mail.example/", "mail.example", False),
        ("file://mail.example", "mail.example", False),
        ("null", "mail.example", False),
        ("", "", False),
        ("http://[::1]:80", "[::1]", True),
        ("http://mail.example:99999", "mail.example:99999", False),
    ],
)
def test_own_origin(origin: str, host: str, expected: bool) -> None:
    assert is_own_origin(origin, host) is expected


def test_without_authentication_the_query_names_the_account() -> None:
    assert admit(keeper(), query={"account": "alice"}) == Identity("alice", ("alice",), None)
    assert reason(keeper()) == "401 no_account"
    assert reason(keeper(), {}, {"account": "a/b"}) == "401 bad_account"


def test_without_authentication_only_loopback_names_are_served_unless_insecure() -> None:
    assert reason(keeper(), {"host": "rebound.example"}, {"account": "alice"}) == "403 foreign_host"
    assert admit(keeper(insecure=True), {"host": "mail.example"}, {"account": "alice"})


def test_without_authentication_a_network_listener_is_refused_unless_insecure() -> None:
    with pytest.raises(SettingsError, match=r"--auth none on 0\.0\.0\.0"):
        keeper("0.0.0.0")
    assert keeper("0.0.0.0", insecure=True)


def test_jwt_needs_a_secret() -> None:
    with pytest.raises(SettingsError, match="TIDINGS_JWT_SECRET"):
        keeper(auth="jwt")


def test_a_token_comes_from_the_header_the_cookie_or_the_query_in_this_order() -> None:
    strict = keeper("0.0.0.0", auth="jwt", jwt_secret=SECRET)
    header = {"authorization": f"Bearer {token(sub='header')}"}
    cookie = {"cookie": f"a=b; tidings_token={token(sub='cookie')}"}
    query = {"access_token": token(sub="query")}
    assert admit(strict, header | cookie, query).username == "header"
    assert admit(strict, cookie, query).username == "cookie"
    assert admit(strict, {}, query).username == "query"
    assert reason(strict) == "401 no_token"
    assert reason(strict, {"authorization": "Basic eA=="}) == "401 no_token"
    assert reason(strict, {"cookie": "tidings_token"}) == "401 no_token"


@pytest.mark.parametrize(
    "foreign",
    ['x={"a":1}', "a[b]=1", "path=/x", "word", "é=ü", "expires=Thu, 01 Jan 1970", '"', "=", "x=a, tidings_token=b"],
)
def test_a_cookie_of_somebody_else_does_not_matter(foreign: str) -> None:
    strict = keeper("0.0.0.0", auth="jwt", jwt_secret=SECRET)
    ours = f"tidings_token={token()}"
    for field in (f"{foreign}; {ours}", f"{ours}; {foreign}", f"{foreign};{ours};{foreign}"):
        assert admit(strict, {"cookie": field}).username == "alice"
    assert reason(strict, {"cookie": foreign}) == "401 no_token"


@pytest.mark.parametrize("foreign", ["Basic YWxpY2U6c2VjcmV0", 'Digest username="alice"', "Negotiate abc", "secret"])
def test_a_password_for_a_proxy_in_front_is_not_ours(foreign: str) -> None:
    strict = keeper("0.0.0.0", auth="jwt", jwt_secret=SECRET)
    given = {"authorization": foreign}
    made = token()
    assert admit(strict, given | {"cookie": f"tidings_token={made}"}).username == "alice"
    assert admit(strict, given, {"access_token": made}).username == "alice"
    assert strict.url_credentials(given, {"access_token": made, "account": "alice"}) == {
        "access_token": made,
        "account": "alice",
    }
    for other in (strict, keeper()):
        assert other.url_credentials(given, {}) == {}
        assert other.url_credentials(given, {"account": "alice"}) == {"account": "alice"}


def test_a_url_gets_the_token_that_counted_and_none_that_no_one_asked_for() -> None:
    strict, cookie = keeper("0.0.0.0", auth="jwt", jwt_secret=SECRET), {"cookie": "tidings_token=kept"}
    shown, query = {"authorization": "Bearer shown"}, {"access_token": "asked"}
    assert strict.url_credentials(shown | cookie, query) == {"access_token": "shown"}
    assert strict.url_credentials(cookie, query) == {}
    assert strict.url_credentials({}, query) == query
    assert strict.url_credentials({}, {"other": "x"}) == {}
    # Without authentication a token is somebody else's.
    assert keeper().url_credentials(shown, {**query, "account": "alice"}) == {"account": "alice"}


def test_claims_that_are_required_are() -> None:
    strict = keeper(auth="jwt", jwt_secret=SECRET, jwt_issuer="https://id.example", jwt_audience="tidings")
    good = {"iss": "https://id.example", "aud": "tidings"}
    identity = admit(strict, query={"access_token": token(**good, accounts=["team", "alice"])})
    assert identity.accounts == ("alice", "team")
    assert identity.expires is not None
    wrongs: list[dict[str, object]] = [
        {"iss": "x"},
        {"aud": "x"},
        {"exp": time.time() - 31},
        {"nbf": time.time() + 40},
        {"exp": "soon"},
        {"exp": []},
        {"exp": math.inf},
    ]
    for wrong in wrongs:
        assert reason(strict, {}, {"access_token": token(**{**good, **wrong})}).startswith("401")
    assert admit(strict, query={"access_token": token(**good, exp=time.time() - 20)})


@pytest.mark.parametrize("accounts", ["team", [1], ["a/b"], [""], [str(n) for n in range(64)], {"a": 1}])
def test_accounts_that_are_none_are_refused(accounts: object) -> None:
    strict = keeper(auth="jwt", jwt_secret=SECRET)
    assert reason(strict, {}, {"access_token": token(accounts=accounts)}) == "401 bad_token"


@pytest.mark.parametrize("made", ["", "a.b.c", "é", "." * 10_000])
def test_nonsense_is_no_token(made: str) -> None:
    assert reason(keeper(auth="jwt", jwt_secret=SECRET), {}, {"access_token": made}) in (
        "401 bad_token",
        "401 no_token",
    )


def test_a_cookie_upgrade_needs_an_origin_and_a_cookie_get_none() -> None:
    strict = keeper(auth="jwt", jwt_secret=SECRET)
    cookie = {"cookie": f"tidings_token={token()}"}
    own = {"origin": "http://127.0.0.1:8080"}
    assert reason(strict, cookie, upgrade=True) == "403 no_origin"
    assert reason(strict, cookie, method="POST") == "403 no_origin"
    assert admit(strict, cookie | own, upgrade=True)
    assert admit(strict, cookie)
    for site in ("cross-site", "same-site"):
        assert reason(strict, cookie | {"sec-fetch-site": site}) == "403 foreign_origin"
    assert admit(strict, cookie | {"sec-fetch-site": "same-origin"})


def test_a_foreign_origin_is_refused_in_every_mode_unless_allowed() -> None:
    foreign = {"origin": "https://mail.example"}
    for mode in ({}, {"auth": "jwt", "jwt_secret": SECRET}):
        query = {"account": "alice", "access_token": token()}
        assert reason(keeper(**mode), foreign, query) == "403 foreign_origin"
        assert admit(keeper(**mode, allow_origin="https://mail.example/"), foreign, query)
