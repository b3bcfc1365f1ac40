"""RabbitMQ Web-STOMP: the broker's own WebSocket, a queue for each subscriber."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.peers import Server, state_change, upgrade
from bench.wire import masked
from tests.support.broker import MISSING, Broker, BrokerError, find_scripts, free_ports


def _frame(command: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A STOMP 1.2 frame."""
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"{command}\n{lines}\n".encode() + body + b"\0"


class WebStomp:
    """A private node with rabbitmq_web_stomp; each client subscribes to a topic of its account."""

    name = "RabbitMQ Web-STOMP"
    few, many = 500, 2_500

    def missing(self) -> str | None:
        """The Debian package."""
        try:
            find_scripts()
        except BrokerError:
            return MISSING
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it; the schedulers do not spin, so that only work counts as CPU time."""
        web, stomp = free_ports(2)
        settings = (
            "web_stomp.tcp.ip = 127.0.0.1",
            f"web_stomp.tcp.port = {web}",
            "web_stomp.tcp.backlog = 4096",
            "web_stomp.ws_opts.idle_timeout = 600000",
            f"stomp.listeners.tcp.1 = 127.0.0.1:{stomp}",
        )
        schedulers = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
        with Broker(plugins=("rabbitmq_web_stomp",), settings=settings, schedulers=schedulers) as broker:
            login = _frame("CONNECT", {"accept-version": "1.2", "heart-beat": "0,0", **broker.login()})

            def opening(account: str) -> tuple[bytes, bytes]:
                subscribe = _frame("SUBSCRIBE", {"id": "0", "destination": f"/topic/{account}", "receipt": "open"})
                return upgrade("/ws", "Sec-WebSocket-Protocol: v12.stomp"), masked(1, login) + masked(1, subscribe)

            yield Server((broker.pid,), web, opening, b"RECEIPT", stomp, _changes, login)


def _changes(accounts: Sequence[str], state: str) -> bytes:
    return b"".join(
        _frame("SEND", {"destination": f"/topic/{account}"}, state_change(account, state)) for account in accounts
    )
