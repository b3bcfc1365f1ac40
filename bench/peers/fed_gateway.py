"""`python -m bench.peers.fed_gateway gateway FLAG...`: `tidings gateway`, its log filled from a socket.

A gateway reads a log that others write; this one reads it in memory, filled as the bus would. What comes over the
socket are entries: shard and size as 4 bytes each, then the batch.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import structlog

import tidings.gateway.service
from tidings.bus.log import ChangeLog
from tidings.bus.memory import MemoryLog
from tidings.bus.service import LogService
from tidings.gateway.settings import GatewaySettings
from tidings.ops.process.lifecycle import run
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.ops.settings.common import parse

READ_BYTES = 256 * 1024

_log = structlog.get_logger("tidings.feeder")
"""Of others than tidings only warnings are logged."""


class Feeder:
    """Appends what comes over the socket."""

    name = "feeder"

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on any free port, which is logged."""
        self._server = await asyncio.start_server(self._feed, "127.0.0.1", 0)
        _log.info("listening", service=self.name, port=self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening; who feeds is gone by now."""
        if self._server is not None:
            self._server.close()

    async def _feed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        while data := await reader.read(READ_BYTES):
            received += data
            at = 0
            while len(received) >= at + 8:
                end = at + 8 + int.from_bytes(received[at + 4 : at + 8], "big")
                if len(received) < end:
                    break
                await self._log.append(int.from_bytes(received[at : at + 4], "big"), bytes(received[at + 8 : end]))
                at = end
            del received[:at]
        writer.close()


def main(flags: Sequence[str]) -> int:
    """Serve until ended."""
    settings = parse(GatewaySettings, "fed_gateway", flags)

    def compose(runtime: Runtime) -> list[Service]:
        log = MemoryLog(settings.shards)
        gateway = tidings.gateway.service.compose(settings, log, runtime)
        return [LogService(log, runtime.registry), *gateway, Feeder(log)]

    return run(settings, "Tidings gateway", compose)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
