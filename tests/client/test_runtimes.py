"""The package outside browsers: in Node and in Deno, over the transports that each has."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from tests.client.conftest import Package
from tests.support.gateway import running_gateway
from tests.support.node import FLAG, Receiver, node, node_has_websocket, running
from tests.support.npm import NPM

RUNTIMES = ("node", "node-without-websocket", "deno")
NO_WEBSOCKET = "data:text/javascript,delete globalThis.WebSocket"


def transport(runtime: str) -> str:
    """The best one that a runtime has."""
    has = {"node": node_has_websocket(), "node-without-websocket": False, "deno": True}
    return "websocket" if has[runtime] else "eventsource"


def listener(runtime: str, package: Package, *arguments: str) -> AbstractAsyncContextManager[Receiver]:
    if runtime == "deno":
        (deno,) = (path for path in NPM.glob("@deno/*/deno"))
        command = [
            str(deno),
            "run",
            "--quiet",
            "--no-lock",
            "--cached-only",
            "--allow-net",
            "--node-modules-dir=manual",
        ]
    elif transport(runtime) == "websocket":
        command = [node(), FLAG]
    else:
        command = [node(), "--import", NO_WEBSOCKET]
    return running(*command, "listen.mjs", *arguments, cwd=package.folder, env=None)


@pytest.mark.parametrize("name", ["TidingsClient", "SharedClient"])
@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_it_is_told_of_every_change(runtime: str, name: str, package: Package) -> None:
    async with running_gateway() as gateway, listener(runtime, package, name, gateway.url()) as client:
        while (status := (await client.receive())["status"])["state"] != "connected":
            assert status["state"] == "connecting"
        assert status == {"state": "connected", "resumed": False, "transport": transport(runtime)}
        for number in ("1", "2"):
            await gateway.publish("alice", {"Email": number})
            assert await client.receive() == {"changed": {"alice": {"Email": number}}}
        await gateway.publish("alice", {"End": "1"})
        assert await client.receive() == {"changed": {"alice": {"End": "1"}}}
        assert await client.receive() == {"status": {"state": "stopped"}}
