"""`tidings check --through` real proxies, of which each is wrong in one way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from tests.support.gateway import running_gateway
from tests.support.publisher import Log, Start
from tests.support.reverse_proxy import KINDS, ReverseProxy
from tests.support.waiting import patient

SECONDS = 60.0


async def check(proxy: ReverseProxy, *flags: str) -> tuple[int, str]:
    """Run it as an operator would; its exit code, and all that it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    command = [sys.executable, "-m", "tidings", "check", "--through", proxy.url, *flags]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(SECONDS),
        env={**inherited, "SSL_CERT_FILE": str(proxy.certificate)},
    )
    return done.returncode, done.stdout + done.stderr


def found(said: str) -> set[str]:
    """What it says is wrong, without how it shows."""
    return {line.split(": ")[1] for line in said.splitlines() if line.startswith("FOUND: ")}


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_found_where_all_is_right(kind: str, log: Log, start: Start) -> None:
    with ReverseProxy(kind) as proxy:
        async with running_gateway(log=log.log, host=f"unix:{proxy.socket}", public_url=proxy.url, insecure=True):
            publisher = await start()
            told = ("--ingest-url", f"http://127.0.0.1:{publisher.port}")
            code, said = await check(proxy, *told, "--seconds", "3", "--timeout-seconds", "30")
    assert (code, found(said)) == (0, set()), said
    assert "a poll was told of a change after" in said
    assert "takes this client for 127.0.0.1" in said
    assert "an event stream lasted 3 s" in said


UPGRADE = "Upgrade is not passed on"
BUFFERS = "events are held back"
CUTS = "silent connections are cut off"
HIDES = "the gateway does not learn the client's address"
BELIEVES = "clients can claim any address"
COMPRESSES = "answers that wait for changes are compressed"
PATH = "paths do not arrive as they are"

BROKEN = [
    ("nginx", {"proxy_set_header Upgrade $http_upgrade;": ""}, {UPGRADE}, "proxy_set_header Upgrade $http_upgrade;"),
    (
        "nginx",
        {"proxy_buffering off;": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"},
        {BUFFERS},
        "proxy_buffering off;",
    ),
    ("nginx", {"proxy_read_timeout 1h;": "proxy_read_timeout 1s;"}, {CUTS}, "proxy_read_timeout 1h;"),
    (
        "nginx",
        {"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;": ""},
        {HIDES, BELIEVES},
        "proxy_set_header X-Forwarded-For",
    ),
    (
        "nginx",
        {"gzip off;": "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0; gzip_http_version 1.0;"},
        {COMPRESSES},
        "gzip off;",
    ),
    (
        "nginx",
        {"proxy_pass http://tidings;": "rewrite ^/jmap/(.*)$ /$1 break; proxy_pass http://tidings;"},
        {PATH},
        "no path behind it",
    ),
    ("apache", {"upgrade=websocket ": ""}, {UPGRADE}, "upgrade=websocket"),
    ("apache", {"timeout=3600": "timeout=1"}, {CUTS}, "timeout=3600"),
    ("apache", {"ProxyAddHeaders On": "ProxyAddHeaders Off"}, {HIDES, BELIEVES}, "ProxyAddHeaders On"),
    ("apache", {"http://tidings/jmap/ ": "http://tidings/ "}, {PATH}, "the same path twice"),
    ("haproxy", {"timeout server 1h": "timeout server 1s"}, {CUTS}, "timeout server 1h"),
    ("haproxy", {"timeout tunnel 1h": "timeout tunnel 1s"}, {CUTS}, "timeout tunnel 1h"),
    ("caddy", {"\treverse_proxy": "\trewrite /jmap/ws /ws\n\treverse_proxy"}, {PATH}, "no path behind it"),
    ("haproxy", {"option forwardfor": ""}, {HIDES, BELIEVES}, "option forwardfor"),
    (
        "haproxy",
        {"option forwardfor": "option forwardfor\n    http-request del-header Upgrade"},
        {UPGRADE},
        "del-header Upgrade",
    ),
]


@pytest.mark.parametrize(("kind", "replaced", "faults", "mended"), BROKEN)
async def test_each_fault_is_found_and_the_line_that_mends_it_named(
    kind: str, replaced: Mapping[str, str], faults: set[str], mended: str
) -> None:
    with ReverseProxy(kind, replaced) as proxy:
        async with running_gateway(host=f"unix:{proxy.socket}", public_url=proxy.url, insecure=True):
            code, said = await check(proxy, "--seconds", "6", "--timeout-seconds", "4")
    assert (code, found(said)) == (1, faults), said
    assert mended in said


async def test_a_gateway_that_does_not_run_is_not_reached() -> None:
    with ReverseProxy("nginx") as proxy:
        code, said = await check(proxy)
    assert (code, found(said)) == (1, {"the proxy does not reach the gateway"}), said


async def test_a_session_that_leads_elsewhere_is_found() -> None:
    with ReverseProxy("nginx", {"proxy_set_header Host $http_host;": ""}) as proxy:
        async with running_gateway(host=f"unix:{proxy.socket}", insecure=True):
            code, said = await check(proxy)
    assert (code, found(said)) == (1, {"the session leads elsewhere"}), said
    assert "its URLs begin with http://tidings, and not with https://127.0.0.1" in said
