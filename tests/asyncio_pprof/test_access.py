"""Who may see the pages where the program says nothing about it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from asyncio_pprof import loopback_only

LOCAL = ("127.0.0.1", 40000)
OWN = ("127.0.0.1", 6060)
ELSEWHERE = ("10.0.0.9", 40000)


def status(
    client: tuple[str, int] | None = LOCAL,
    server: tuple[str, int] | None = OWN,
    method: str = "GET",
    host: str = "localhost:6060",
    header: tuple[str, str] | None = None,
) -> int:
    fields = [("host", host), *([header] if header else [])]
    raw = [(name.encode(), value.encode()) for name, value in fields]
    scope = {"type": "http", "method": method, "client": client, "server": server, "headers": raw}
    answer = loopback_only(Request(scope))
    return 200 if answer is None else answer.status_code


@pytest.mark.parametrize("host", ["localhost", "localhost:6060", "127.0.0.1:6060", "[::1]:6060"])
def test_this_machine_may(host: str) -> None:
    assert status(host=host) == 200
    assert status(("::1", 40000), ("::1", 6060), host=host) == 200
    assert status(method="HEAD") == 200


@pytest.mark.parametrize(
    ("client", "server"),
    [
        pytest.param(ELSEWHERE, ("10.0.0.7", 6060), id="another machine"),
        pytest.param(ELSEWHERE, OWN, id="routed to loopback"),
        pytest.param(("127.0.0.6", 40000), ("10.0.0.7", 6060), id="through a sidecar"),
        pytest.param(None, OWN, id="reset already"),
        pytest.param(None, None, id="a Unix socket, which a proxy may have the other end of"),
    ],
)
def test_nobody_else_may(client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
    assert status(client, server) == 403


@pytest.mark.parametrize("name", ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"])
def test_a_proxy_on_this_machine_may_not(name: str) -> None:
    assert status(header=(name, "127.0.0.1")) == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7:6060", "", "["])
def test_a_name_that_is_not_loopbacks_is_refused(host: str) -> None:
    assert status(host=host) == 403


def test_pages_of_other_sites_are_not_answered() -> None:
    assert status(header=("sec-fetch-site", "cross-site")) == 403
    assert status(header=("sec-fetch-site", "same-site")) == 403
    assert status(header=("sec-fetch-site", "same-origin")) == 200


def test_what_changes_something_needs_a_header_that_no_page_can_send() -> None:
    assert status(method="POST") == 403
    assert status(method="POST", header=("x-requested-with", "curl")) == 200
