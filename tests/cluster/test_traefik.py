"""Traefik as docs/operate/proxies.md has it, tried as the other proxies are. Its program is built for the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from tests.cluster.programs import program
from tests.integrations import test_check_through as through
from tests.integrations import test_proxies as proxies
from tests.support.fixtures import broker, bus_url, log, start
from tests.support.publisher import Log, Start
from tests.support.reverse_proxy import Kind, ReverseProxy

__all__ = ["broker", "bus_url", "log", "start"]

TRAEFIK = Kind(
    "traefik",
    "traefik.yaml",
    """
{own}
tls:
  stores:
    default:
      defaultCertificate: {{certFile: {certificate}, keyFile: {certificate}}}
""",
    (
        "{home}/traefik",
        "--entrypoints.https.address=127.0.0.1:{port}",
        "--providers.file.filename={configuration}",
        "--global.checknewversion=false",
    ),
    "Host(`mail.example`)",
    "Host(`127.0.0.1`)",
    built=partial(program, "traefik"),
)
BROKEN = [
    (
        {"tls: {}": "tls: {}\n      middlewares: [short]\n  middlewares: {short: {stripPrefix: {prefixes: [/jmap]}}}"},
        {through.PATH},
        "`stripPrefix`",
    ),
    (
        {
            "loadBalancer:": "loadBalancer:\n        serversTransport: hasty",
            "  services:": "  serversTransports:\n    hasty: {forwardingTimeouts: {responseHeaderTimeout: 1s}}\n"
            "  services:",
        },
        {through.CUTS},
        "responseHeaderTimeout: 0s",
    ),
]


@pytest.fixture(scope="module")
def traefik() -> Iterator[ReverseProxy]:
    with ReverseProxy(TRAEFIK) as proxy:
        yield proxy


async def test_each_transport_goes_through_and_clients_have_their_address(traefik: ReverseProxy) -> None:
    await proxies.test_each_transport_goes_through_and_clients_have_their_address(traefik)


async def test_a_poll_may_wait_for_longer_than_proxies_do_by_themselves(traefik: ReverseProxy) -> None:
    await proxies.test_a_poll_may_wait_for_longer_than_proxies_do_by_themselves({"traefik": traefik})


async def test_nothing_is_found_where_all_is_right(log: Log, start: Start) -> None:
    await through.test_nothing_is_found_where_all_is_right(TRAEFIK, log, start)


@pytest.mark.parametrize(("replaced", "faults", "mended"), BROKEN)
async def test_each_fault_is_found_and_the_line_that_mends_it_named(
    replaced: Mapping[str, str], faults: set[str], mended: str
) -> None:
    await through.test_each_fault_is_found_and_the_line_that_mends_it_named(TRAEFIK, replaced, faults, mended)
