"""Every port that Tidings listens on, in the test's own process; and what is said to them from bare sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateway import running_gateway
from tests.support.publisher import Running
from tests.support.waiting import patient
from tidings.bus.memory import MemoryLog
from tidings.ops.admin.guard import AdminAccess
from tidings.ops.admin.listeners import OpsListeners, ops_sockets
from tidings.ops.health import Health
from tidings.ops.http.protocol import PROBE
from tidings.ops.http.serving import UvicornService
from tidings.ops.metrics import new_registry
from tidings.ops.process.runtime import new_runtime
from tidings.ops.settings.common import OpsSettings
from tidings.webmail.service import compose
from tidings.webmail.settings import WebmailSettings

SECONDS = 20.0
EVENT = (
    b'{"specversion":"1.0","id":"1","source":"/x","type":"mail.MessageNew","subject":"alice",'
    b'"data":{"changed":{"Quota":"q7"}}}'
)


@dataclass(frozen=True)
class Listener:
    """A port, and a path that a GET of which is answered 200."""

    name: str
    port: int
    path: str

    def get(self, *fields: str, method: str = "GET", path: str = "", version: str = "1.1", host: bool = True) -> bytes:
        """The head of a request."""
        lines = [f"{method} {path or self.path} HTTP/{version}", *(["Host: 127.0.0.1"] if host else []), *fields]
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def post(*fields: str, body: bytes = EVENT, chunked: bool = False) -> bytes:
    """A request that tells a change."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    lines = ["POST /v1/changes HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/cloudevents+json", framing]
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return "".join(f"{line}\r\n" for line in (*lines, *fields)).encode() + b"\r\n" + framed


async def ask(port: int, *pieces: bytes, half_close: bool = False) -> bytes:
    """What is answered to these pieces until the connection ends; `half_close` says that nothing more comes."""

    def talk() -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", port), patient(SECONDS)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Who is refused before having said all may be reset. What was answered is there nevertheless.
            with suppress(ConnectionError):
                for piece in pieces:
                    sock.sendall(piece)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while received := sock.recv(65_536):
                    answer += received
        return answer

    return await asyncio.to_thread(talk)


def statuses(answer: bytes) -> list[int]:
    """The statuses of the final responses in what a connection was answered; who waits long gets others before."""
    return [int(part[:3]) for part in answer.replace(PROBE, b"").split(b"HTTP/1.1 ")[1:]]


class Everything:
    """Every listener, by name."""

    def __init__(self, log: MemoryLog, listeners: Sequence[Listener]) -> None:
        self.log = log
        self.all = {listener.name: listener for listener in listeners}

    def __getitem__(self, name: str) -> Listener:
        return self.all[name]


@asynccontextmanager
async def everything(directory: Path, **settings: object) -> AsyncIterator[Everything]:
    """Start them; `settings` are the publisher's. Ingest answers no GET with 200."""
    async with AsyncExitStack() as stack:
        log = MemoryLog(shards=1)
        await log.open()
        stack.push_async_callback(log.close)
        gateway = await stack.enter_async_context(running_gateway(log=log))
        publisher = await Running.composed(log, state_dir=directory / "state", **settings).start()
        stack.push_async_callback(publisher.stop)
        services = compose(WebmailSettings.model_validate({"port": 0, "maildir": directory / "mail"}), new_runtime())
        webmail = next(service for service in services if isinstance(service, UvicornService))
        await webmail.start()
        stack.push_async_callback(webmail.stop)
        sockets = ops_sockets(OpsSettings(admin_port=0, probe_port=0))
        ops = OpsListeners("test", sockets, new_registry(), Health(), AdminAccess())
        ops.start()
        stack.callback(ops.stop)
        yield Everything(
            log,
            [
                Listener("gateway", gateway.port, "/jmap/changes?account=alice"),
                Listener("handed over", gateway.port, "/.well-known/jmap?account=alice"),
                Listener("ingest", publisher.port, "/v1/changes"),
                Listener("webmail", webmail.port, "/api/session?account=alice"),
                Listener("admin", sockets["admin"].getsockname()[1], "/livez"),
                Listener("probe", sockets["probe"].getsockname()[1], "/livez"),
            ],
        )
