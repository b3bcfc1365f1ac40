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
from tests.support.reverse_proxy import APACHE, CADDY, DEBIAN, HAPROXY, NGINX, Kind, ReverseProxy
from tests.support.waiting import patient, promised

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


@pytest.mark.parametrize("kind", DEBIAN.values(), ids=DEBIAN)
async def test_nothing_is_found_where_all_is_right(kind: Kind, log: Log, start: Start) -> None:
    with ReverseProxy(kind) as proxy:
        async with running_gateway(log=log.log, **proxy.gateway, public_url=proxy.url, insecure=True):
            publisher = await start()
            told = ("--ingest-url", f"http://127.0.0.1:{publisher.port}")
            code, said = await check(proxy, *told, "--seconds", "3", "--timeout-seconds", "30")
    assert (code, found(said)) == (0, set()), said
    assert "a poll was told of a change after" in said
    assert "takes this client for 127.0.0.1" in said
    assert "an event stream lasted 3 s" in said


UPGRADE = "the proxy removes Upgrade"
BUFFERS = "the proxy holds events back"
CUTS = "the proxy closes silent connections"
HIDES = "the gateway does not learn the client's address"
BELIEVES = "clients can claim any address"
COMPRESSES = "the proxy compresses answers that wait for changes"
PATH = "the proxy changes paths"

BROKEN = [
    (NGINX, {"proxy_set_header Upgrade $http_upgrade;": ""}, {UPGRADE}, "proxy_set_header Upgrade $http_upgrade;"),
    (
        NGINX,
        {"proxy_buffering off;": "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"},
        {BUFFERS},
        "proxy_buffering off;",
    ),
    (NGINX, {"proxy_read_timeout 1h;": "proxy_read_timeout 1s;"}, {CUTS}, "proxy_read_timeout 1h;"),
    (
        NGINX,
        {"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;": ""},
        {HIDES, BELIEVES},
        "proxy_set_header X-Forwarded-For",
    ),
    (
        NGINX,
        {"gzip off;": "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0; gzip_http_version 1.0;"},
        {COMPRESSES},
        "gzip off;",
    ),
    (
        NGINX,
        {"proxy_pass http://tidings;": "rewrite ^/jmap/(.*)$ /$1 break; proxy_pass http://tidings;"},
        {PATH},
        "no path behind it",
    ),
    (APACHE, {"upgrade=websocket ": ""}, {UPGRADE}, "upgrade=websocket"),
    (APACHE, {"timeout=3600": "timeout=1"}, {CUTS}, "timeout=3600"),
    (APACHE, {"ProxyAddHeaders On": "ProxyAddHeaders Off"}, {HIDES, BELIEVES}, "ProxyAddHeaders On"),
    (APACHE, {"http://tidings/jmap/ ": "http://tidings/ "}, {PATH}, "the same path twice"),
    (HAPROXY, {"timeout server 1h": "timeout server 1s"}, {CUTS}, "timeout server 1h"),
    (HAPROXY, {"timeout tunnel 1h": "timeout tunnel 1s"}, {CUTS}, "timeout tunnel 1h"),
    (CADDY, {"\treverse_proxy": "\trewrite /jmap/ws /ws\n\treverse_proxy"}, {PATH}, "no path behind it"),
    (HAPROXY, {"option forwardfor": ""}, {HIDES, BELIEVES}, "option forwardfor"),
    (
        HAPROXY,
        {"option forwardfor": "option forwardfor\n    http-request del-header Upgrade"},
        {UPGRADE},
        "del-header Upgrade",
    ),
]


def named(value: object) -> str | None:
    return value.name if isinstance(value, Kind) else None


@pytest.mark.parametrize(("kind", "replaced", "faults", "mended"), BROKEN, ids=named)
async def test_each_fault_is_found_and_the_line_that_mends_it_named(
    kind: Kind, replaced: Mapping[str, str], faults: set[str], mended: str
) -> None:
    with ReverseProxy(kind, replaced) as proxy:
        async with running_gateway(**proxy.gateway, public_url=proxy.url, insecure=True):
            patience = f"{promised(4.0):.1f}"
            code, said = await check(proxy, "--seconds", "6", "--timeout-seconds", patience)
    assert (code, found(said)) == (1, faults), said
    assert mended in said


async def test_a_gateway_that_does_not_run_is_not_reached() -> None:
    with ReverseProxy(NGINX) as proxy:
        code, said = await check(proxy)
    assert (code, found(said)) == (1, {"the proxy does not reach the gateway"}), said


async def test_a_proxy_that_closes_each_connection_is_looked_at_all_the_same() -> None:
    with ReverseProxy(NGINX, {"proxy_buffering off;": "proxy_buffering off; keepalive_timeout 0;"}) as proxy:
        async with running_gateway(**proxy.gateway, public_url=proxy.url, insecure=True):
            code, said = await check(proxy, "--seconds", "0")
    assert (code, found(said)) == (0, set()), said
    assert "takes this client for 127.0.0.1" in said


async def test_a_session_that_leads_elsewhere_is_found() -> None:
    with ReverseProxy(NGINX, {"proxy_set_header Host $http_host;": ""}) as proxy:
        async with running_gateway(**proxy.gateway, insecure=True):
            code, said = await check(proxy)
    assert (code, found(said)) == (1, {"the session has URLs of another host"}), said
    assert "the URLs begin with http://tidings, not with https://127.0.0.1" in said
