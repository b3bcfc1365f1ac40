from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import UpstreamFault
from tidings.gateway.codecs.jmap_session import MAIL, Proxied, asked_path, fronted, read_session

CORE = "urn:ietf:params:jmap:core"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
BASE = "https://mail.example"


def session(**members: object) -> dict[str, Any]:
    """As Cyrus has it, whose URLs have no host."""
    return {
        "username": "alice",
        "accounts": {"archive": {"name": "archive"}, "alice": {"name": "alice"}, "team": {"name": "team"}},
        "primaryAccounts": {CORE: "alice", MAIL: "alice"},
        "capabilities": {
            CORE: {"maxSizeRequest": 10_000_000, "maxConcurrentRequests": 5, "maxCallsInRequest": 50},
            MAIL: {},
            WEBSOCKET: {"url": "wss://server/ws", "supportsPush": True},
        },
        "apiUrl": "/jmap/",
        "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?accept={type}",
        "uploadUrl": "/jmap/upload/{accountId}/",
        "eventSourceUrl": "/jmap/eventsource/{types}",
        "state": "0",
        "vendor:extra": {"kept": [1, 2.50]},
        **members,
    }


def given_at(
    path: str = "/jmap/", proxied: Proxied | None = None, *, pushing: str = BASE, **members: object
) -> dict[str, Any]:
    found = read_session(json.dumps(session(**members)).encode(), path)
    answer = json.loads(fronted(found, BASE, pushing, "a.b-c_d", proxied))
    assert isinstance(answer, dict)
    return answer


def test_only_what_pushes_is_ours() -> None:
    given = given_at()
    theirs = session()
    assert given.pop("eventSourceUrl") == (
        f"{BASE}/jmap/eventsource?types={{types}}&closeafter={{closeafter}}&ping={{ping}}&access_token=a.b-c_d"
    )
    assert given.pop("capabilities") == {CORE: theirs["capabilities"][CORE], MAIL: {}}
    assert given.pop("apiUrl") == f"{BASE}/jmap/"
    assert given.pop("downloadUrl") == f"{BASE}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}"
    assert given.pop("uploadUrl") == f"{BASE}/jmap/upload/{{accountId}}/"
    assert given == {name: theirs[name] for name in given}
    assert set(given) == {"username", "accounts", "primaryAccounts", "state", "vendor:extra"}


def test_urls_with_a_host_stay_and_others_are_resolved_where_the_session_was_found() -> None:
    urls: dict[str, Any] = {"apiUrl": "https://api.example/x?y=1", "downloadUrl": "get/{blobId}", "uploadUrl": 17}
    given = given_at("/jmap/session", **urls)
    assert given["apiUrl"] == "https://api.example/x?y=1"
    assert given["downloadUrl"] == f"{BASE}/jmap/get/{{blobId}}"
    assert given["uploadUrl"] == 17
    assert given_at(downloadUrl="http://[")["downloadUrl"] == "http://["


def test_a_session_without_an_url_has_none() -> None:
    members = session()
    del members["uploadUrl"]
    assert "uploadUrl" not in json.loads(
        fronted(read_session(json.dumps(members).encode(), "/"), BASE, BASE, "t", None)
    )


def test_where_requests_are_passed_on_there_is_a_websocket_and_its_limits_count() -> None:
    given = given_at(proxied=Proxied(65_536))
    assert given["capabilities"][WEBSOCKET] == {
        "url": "wss://mail.example/jmap/ws?access_token=a.b-c_d",
        "supportsPush": True,
    }
    core = given["capabilities"][CORE]
    assert core == {"maxSizeRequest": 65_536, "maxConcurrentRequests": 4, "maxCallsInRequest": 50}


@pytest.mark.parametrize("core", [{}, {"maxSizeRequest": "many", "maxConcurrentRequests": None}, [], None])
def test_limits_that_a_server_does_not_have_are_ours(core: object) -> None:
    capabilities = {} if core is None else {CORE: core}
    given = given_at(proxied=Proxied(1_024), capabilities=capabilities)
    assert given["capabilities"][CORE] == {"maxSizeRequest": 1_024, "maxConcurrentRequests": 4}


def test_lower_limits_of_the_server_stay() -> None:
    core = {"maxSizeRequest": 1_000, "maxConcurrentRequests": 1}
    assert given_at(proxied=Proxied(65_536), capabilities={CORE: core})["capabilities"][CORE] == core


def test_a_websocket_beside_plain_http_is_a_plain_one() -> None:
    found = read_session(json.dumps(session()).encode(), "/")
    base = "http://127.0.0.1:8080"
    given = json.loads(fronted(found, base, base, "t", Proxied(1_024)))
    assert given["capabilities"][WEBSOCKET]["url"] == "ws://127.0.0.1:8080/jmap/ws?access_token=t"


def test_a_group_is_in_the_push_urls_alone() -> None:
    given = given_at(proxied=Proxied(1_024), pushing=f"{BASE}/g/3")
    assert given["capabilities"][WEBSOCKET]["url"] == "wss://mail.example/g/3/jmap/ws?access_token=a.b-c_d"
    assert given["eventSourceUrl"].startswith(f"{BASE}/g/3/jmap/eventsource?")
    assert given["apiUrl"] == f"{BASE}/jmap/"


def test_the_primary_account_of_mail_comes_first() -> None:
    accounts: dict[str, object] = {name: {} for name in ("a", "b", "c", "d")}
    primary = {CORE: "c", MAIL: "b", "urn:example:other": "not there"}
    found = read_session(json.dumps(session(accounts=accounts, primaryAccounts=primary)).encode(), "/")
    assert found.accounts == ("b", "c", "a", "d")
    found = read_session(json.dumps(session(accounts=accounts, primaryAccounts={})).encode(), "/")
    assert found.accounts == ("a", "b", "c", "d")


def test_the_path_of_the_api_is_kept_for_requests_to_the_server() -> None:
    assert read_session(json.dumps(session()).encode(), "/jmap/").api_path == "/jmap/"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, json.dumps(session(accounts=[])).encode()],
)
def test_what_is_no_session_is_a_fault_of_the_server(body: bytes) -> None:
    with pytest.raises(UpstreamFault) as fault:
        read_session(body, "/")
    assert fault.value.code == 502


@pytest.mark.parametrize(
    ("at", "reference", "found"),
    [
        ("/.well-known/jmap", "/jmap/", "/jmap/"),
        ("/jmap/session", "api", "/jmap/api"),
        ("/", "https://elsewhere.example:1/x?y=z#f", "/x?y=z"),
        ("/", "//elsewhere.example", "/"),
        ("/a/b", "", "/a/b"),
        ("/a", "http://upstream//double", "//double"),
    ],
)
def test_only_path_and_query_of_an_url_count(at: str, reference: str, found: str) -> None:
    assert asked_path(at, reference) == found


@pytest.mark.parametrize(
    "reference", ["ftp://host/x", "javascript:1", "/grüße", "/a b", "/" + "a" * 1_024, "http://[", "mailto:x"]
)
def test_what_is_no_url_of_http_is_a_fault_of_the_server(reference: str) -> None:
    with pytest.raises(UpstreamFault, match="URL that is not valid"):
        asked_path("/", reference)


@given(st.text())
def test_whatever_is_named_the_path_begins_with_a_slash(reference: str) -> None:
    try:
        found = asked_path("/jmap/", reference)
    except UpstreamFault:
        return
    assert found.startswith("/")
    assert found.isascii()
    assert found.isprintable()
