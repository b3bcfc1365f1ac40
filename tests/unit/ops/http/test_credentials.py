from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.ops.http.credentials import basic_password, bearer, cookie, joined


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer one", "one"),
        ("bearer  one ", "one"),
        ("\tBEARER one\t", "one"),
        ("Bearer \u20ac", "\u20ac"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer\tone", ""),
        ("one", ""),
        ("", ""),
        (basic("one:two"), ""),
        ('Digest username="alice", response="0123"', ""),
        ("Negotiate abc", ""),
        ("BearerX one", ""),
    ],
)
def test_bearer_tokens_and_no_others(authorization: str, token: str) -> None:
    assert bearer(authorization) == token


@pytest.mark.parametrize(
    ("authorization", "password"),
    [
        (basic("user:one"), b"one"),
        (basic(":one"), b"one"),
        (basic("user:one:two"), b"one:two"),
        (basic("user:\u20ac"), "\u20ac".encode()),
        (basic("user:"), b""),
        (basic("one"), b""),
        ("Basic one", b""),
        ("Basic =", b""),
        ("Basic \u20ac", b""),
        ("Basic", b""),
        ("Bearer dXNlcjpvbmU=", b""),
        ("", b""),
    ],
)
def test_the_password_of_basic_and_of_no_other_scheme(authorization: str, password: bytes) -> None:
    assert basic_password(authorization) == password


FOREIGN = [
    'x={"a":1}',
    'x={"a":"b, c=\\"d\\""}',
    "a[b]=1",
    "path=/x",
    "expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "$Version=1",
    "word",
    "=nameless",
    "é=ü",
    '"',
    'x="open',
    "x=a=b",
    "x=\x7f\x01",
    "a b c",
    "xtoken=foreign",
    "token2=foreign",
    "TOKEN=foreign",
    "",
    "token=",
    "token",
]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_other_cookies_say_nothing_of_ours(foreign: str) -> None:
    for field in (f"{foreign}; token=ours", f"token=ours; {foreign}", f"{foreign};token=ours;{foreign}"):
        assert cookie(field, "token") == "ours"
    assert cookie(foreign, "token") == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token=a=b", "a=b"),
        (' token = "quoted" ', "quoted"),
        ('token="', '"'),
        ('token=""', ""),
        ("token=first; token=second", "first"),
    ],
)
def test_our_cookie(field: str, value: str) -> None:
    assert cookie(field, "token") == value


@given(before=st.text(), after=st.text())
def test_whatever_stands_beside_it_ours_is_found(before: str, after: str) -> None:
    found = cookie(f"x={before}; token=ours; y={after}", "token")
    assert found == "ours" or ";" in before


def test_fields_that_come_several_times() -> None:
    fields = [("Host", "x"), ("Cookie", "a=1"), ("X", "first"), ("cookie", "token=ours"), ("x", "second")]
    assert joined(fields) == {"host": "x", "cookie": "a=1; token=ours", "x": "first"}


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For"])
def test_what_a_proxy_writes_behind_a_field_of_its_client_counts_too(name: str) -> None:
    assert joined([(name, "claimed"), (name, "seen")]) == {name.lower(): "claimed, seen"}
