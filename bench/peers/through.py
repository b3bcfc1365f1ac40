"""The whole way of a change: ingest over HTTP, a confirmed append to RabbitMQ, the gateway's read of the stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from bench.peers import Server
from bench.peers.tidings import INGEST_TOKEN, OPENED, opening, posted
from bench.tokens import SECRET
from bench.usage import cores, on_core
from tests.support.broker import Broker
from tests.support.processes import tidings
from tests.support.rabbitmq import MISSING, BrokerError, find_scripts

SCHEDULERS = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
"""They do not spin, so that only work counts as CPU time."""


class ThroughRabbitMQ:
    """`tidings gateway` as it is deployed. Its process is the server; publisher and broker work beside the load."""

    name = "Tidings gateway, through RabbitMQ"
    does = (
        "HS256 token, pings, deadlines, resume, slow clients bounded; every change is in the log before it is told; "
        "figures are of the gateway, with its reads of the stream"
    )

    def missing(self) -> str | None:
        """The Debian package of the broker."""
        try:
            find_scripts()
        except BrokerError:
            return MISSING
        return None

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start all three, the gateway where the caller wants the server."""
        _, load_core = cores()
        with ExitStack() as stack:
            state = stack.enter_context(TemporaryDirectory())
            with on_core(load_core):
                broker = stack.enter_context(Broker(schedulers=SCHEDULERS))
                bus = ("--bus", broker.url)
                ingest = {"TIDINGS_INGEST_TOKENS": INGEST_TOKEN}
                publisher = stack.enter_context(tidings("publisher", *bus, "--state-dir", state, env=ingest))
            flags = ("--auth", "jwt", "--coalesce-ms", "0", *bus)
            gateway = stack.enter_context(tidings("gateway", *flags, env={"TIDINGS_JWT_SECRET": SECRET}))
            for process in (publisher, gateway):
                process.wait_connected()
            yield Server(
                (gateway.pid,),
                gateway.ports["gateway"],
                opening,
                OPENED,
                publisher.ports["ingest"],
                posted,
                beside={"publisher": (publisher.pid,), "broker": (broker.pid,)},
            )
