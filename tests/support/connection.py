"""One connection to a listener of uvicorn's, over a pair of sockets in the test's own loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from tests.support.waiting import eventually
from tidings.ops.budget import Account, Budget
from tidings.ops.http.protocol import QuietProtocol
from tidings.ops.http.serving import quiet_config

SECONDS = 20.0


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Say what was understood of a request."""
    try:
        body = await Request(scope, receive).body()
    except ClientDisconnect:
        return
    trailers = [name.decode() for name, _ in scope["headers"] if name.startswith(b"x-")]
    await JSONResponse([scope["method"], scope["path"], body.decode(), trailers])(scope, receive, send)


class Wire:
    """A server's connection, and the client's end of it."""

    def __init__(self, app: ASGIApp, account: Account, keep_alive_seconds: int) -> None:
        config = quiet_config(app, 100, account, keep_alive_seconds)
        config.load()
        self.state = ServerState()
        self.protocol = QuietProtocol(config=config, server_state=self.state, app_state={})
        self.ours, self.theirs = socket.socketpair()

    async def send(self, data: bytes) -> None:
        # Whoever is refused has not said all.
        with suppress(ConnectionError):
            await asyncio.get_running_loop().sock_sendall(self.ours, data)
        # The other end has read it, or is not going to.
        for _ in range(5):
            await asyncio.sleep(0)

    def half_close(self) -> None:
        with suppress(OSError):
            self.ours.shutdown(socket.SHUT_WR)

    async def answer(self) -> bytes:
        """All of it, until the connection ends."""
        answer = b""
        async with asyncio.timeout(SECONDS):
            try:
                while received := await asyncio.get_running_loop().sock_recv(self.ours, 65_536):
                    answer += received
            except ConnectionResetError:
                pass
        return answer


@asynccontextmanager
async def wire(
    app: ASGIApp = echo, account: Account | None = None, keep_alive_seconds: int = 60
) -> AsyncIterator[Wire]:
    one = Wire(app, account or Budget().account("requests"), keep_alive_seconds)
    one.ours.setblocking(False)
    one.theirs.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: one.protocol, one.theirs)
    try:
        yield one
    finally:
        one.ours.close()
        await eventually(lambda: not one.state.connections and not one.state.tasks)
