"""What is asked of every head. That every listener asks it is tested in tests/hostile."""

from __future__ import annotations

import pytest

from tidings.errors import RequestRejected
from tidings.ops.http import heads
from tidings.ops.http.heads import Target


@pytest.mark.parametrize(
    ("method", "target", "host", "read"),
    [
        ("GET", "/", "a", Target("/", "", "a")),
        ("GET", "/a%20b?c=%2F", "a:80", Target("/a%20b", "c=%2F", "a:80")),
        ("OPTIONS", "*", "a", Target("*", "", "a")),
        ("GET", "http://b:1/c?d", "a", Target("/c", "d", "b:1")),
        ("GET", "HTTPS://[::1]?d", "a", Target("/", "d", "[::1]")),
    ],
)
def test_reads_a_target(method: str, target: str, host: str, read: Target) -> None:
    assert heads.read_target(method, target, host, (1, 1)) == read


def test_http_1_0_has_no_host() -> None:
    assert heads.read_target("GET", "/", None, (1, 0)) == Target("/", "", None)


@pytest.mark.parametrize(
    ("method", "target", "host", "named"),
    [
        ("GET", "/", None, "Host is missing"),
        ("GET", "/", "", "Host is malformed"),
        ("GET", "/", "a b", "Host is malformed"),
        ("GET", "http://user@b/", "a", "Host is malformed"),
        ("GET", "http://b/", "a/", "Host is malformed"),
        ("GET", "a/b", "a", "target is malformed"),
        ("GET", "?a", "a", "target is malformed"),
        ("CONNECT", "b:443", "a", "target is malformed"),
        ("GET", "/a#b", "a", "target is malformed"),
        ("GET", "*", "a", "OPTIONS"),
        ("GET", "/a%2Fb", "a", "encoded slash"),
        ("GET", "/a%2fb", "a", "encoded slash"),
        ("GET", "http://b/a%2Fb", "a", "encoded slash"),
        ("GET", "/a%00", "a", "control character"),
        ("GET", "/a%0Ab", "a", "control character"),
        ("GET", "/a%7f", "a", "control character"),
        ("GET", "/100%", "a", "two digits"),
        ("GET", "/a%zz", "a", "two digits"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(method: str, target: str, host: str | None, named: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        heads.read_target(method, target, host, (1, 1))
    assert caught.value.code == 400
    assert named in caught.value.detail


def test_a_field_that_is_given_once_at_most() -> None:
    heads.check_names(["host", "accept", "accept", "cookie", "cookie"])
    with pytest.raises(RequestRejected) as caught:
        heads.check_names(["host", "authorization", "accept", "authorization"])
    assert (caught.value.code, caught.value.detail) == (400, "authorization is given twice")


def test_another_major_version() -> None:
    heads.check_version(1)
    for major in (0, 2):
        with pytest.raises(RequestRejected) as caught:
            heads.check_version(major)
        assert caught.value.code == 505
