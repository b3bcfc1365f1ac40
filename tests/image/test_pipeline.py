"""The end-to-end tests, with every process out of the image: `suite` is another one here."""

from __future__ import annotations

import asyncio

import httpx2

from tests.image.suite import ContainedSuite
from tests.integration.test_end_to_end import (  # noqa: F401 - collected here
    deliver,
    test_a_killed_gateway_costs_a_reconnect_and_nothing_else,
    test_a_killed_publisher_announces_what_was_delivered_meanwhile,
    test_over_rabbitmq_a_delivery_by_maildrop_reaches_the_client,
    test_over_rabbitmq_what_is_posted_reaches_the_client,
    test_two_gateways_tell_the_same,
    websocket,
)
from tests.support.clients import jmap_client


async def test_the_webmail_shows_it_and_all_end_cleanly(suite: ContainedSuite) -> None:
    webmail = await asyncio.to_thread(suite.start_webmail)
    async with jmap_client(websocket(suite.gateway)) as client, httpx2.AsyncClient() as http:
        await client.subscribe()
        deliver(suite.root, "alice", "hello")
        assert "EmailDelivery" in (await client.changed())["alice"]
        assert (await http.get(webmail.url("webmail", "/"))).status_code == 200
    for service in (webmail, suite.gateway, suite.publisher):
        assert await asyncio.to_thread(service.stop) == 0
        assert not service.stray


async def test_several_workers_fit_into_a_container(suite: ContainedSuite) -> None:
    gateway = await asyncio.to_thread(suite.start_gateway, "--workers", "2")
    async with jmap_client(websocket(gateway)) as client:
        await client.subscribe()
        deliver(suite.root, "alice", "hello")
        assert "EmailDelivery" in (await client.changed())["alice"]
