"""A client that sessions lead to a group of gateways: each time that it comes back it goes where they lead by then."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.client.conftest import Package
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.node import FLAG, Receiver, node, node_has_websocket, running
from tests.support.ports import free_ports
from tests.support.waiting import eventually
from tidings.bus.memory import MemoryLog
from tidings.wire.shard import shard_of

FOUR, TWO = "127.0.0.3", "127.0.0.1"
"""The group of alice, of four and of two."""
SESSIONS = "127.0.0.9"


async def connected(client: Receiver) -> dict[str, Any]:
    """The status of the next connection."""
    while (status := (await client.receive())["status"])["state"] != "connected":
        assert status["state"] in ("connecting", "waiting"), status
    assert isinstance(status, dict)
    return status


def serves(gateway: RunningGateway) -> bool:
    return gateway.value("tidings_sockets_open") == 1


@pytest.mark.parametrize("name", ["TidingsClient", "SharedClient"])
async def test_a_client_comes_back_to_where_sessions_lead_by_then(name: str, package: Package) -> None:
    assert shard_of("alice", 8) == 7
    (port,) = free_ports(1)
    log = MemoryLog(shards=8)
    await log.open()

    session, anywhere = (
        f"http://{SESSIONS}:{port}/.well-known/jmap?account=alice",
        f"ws://{TWO}:{port}/jmap/ws?account=alice",
    )
    command = (node(), *([FLAG] if node_has_websocket() else ()), "led.mjs", name, session, anywhere)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(log.close)

        async def gateway(host: str, groups: int) -> RunningGateway:
            url = f"http://127.0.0.{{group}}:{port}"
            return await stack.enter_async_context(
                running_gateway(log=log, host=host, port=port, groups=groups, group_url=url)
            )

        old, new, sessions = await gateway(FOUR, 4), await gateway(TWO, 2), await gateway(SESSIONS, 4)
        client = await stack.enter_async_context(running(*command, cwd=package.folder))
        assert (await connected(client))["resumed"] is False
        assert (serves(old), serves(new)) == (True, False)

        # Another number of groups: who is sent away asks the session, which knows of it.
        await sessions.service.stop()
        sessions = await gateway(SESSIONS, 2)
        await old.service.stop()
        assert (await connected(client))["resumed"] is True
        await eventually(lambda: serves(new))
        await new.publish("alice", {"Email": "s1"})
        assert await client.receive() == {"changed": {"alice": {"Email": "s1"}}}

        # Without a session, any gateway will do.
        await sessions.service.stop()
        await new.service.stop()
        last = await gateway(TWO, 2)
        assert (await connected(client))["resumed"] is True
        await eventually(lambda: serves(last))
