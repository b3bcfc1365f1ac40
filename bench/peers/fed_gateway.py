"""`python -m bench.peers.fed_gateway PORT FEED_PORT`: a gateway whose log takes batches from a socket.

A gateway process reads a log that others write; this one reads it in memory, filled as the bus would. What comes
over the socket are entries: shard and size as 4 bytes each, then the batch.
"""

from __future__ import annotations

import asyncio
import sys

import structlog
import uvloop

from bench.tokens import SECRET
from tests.support.gateway import running_gateway
from tidings.bus.memory import MemoryLog
from tidings.wire.shard import DEFAULT_SHARDS


async def main(port: int, feed_port: int) -> None:
    """Serve until ended."""
    log = MemoryLog(shards=DEFAULT_SHARDS)
    await log.open()

    async def fed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(8)
                batch = await reader.readexactly(int.from_bytes(head[4:], "big"))
                await log.append(int.from_bytes(head[:4], "big"), batch)
        except asyncio.IncompleteReadError:
            writer.close()

    gateway = running_gateway(log=log, port=port, auth="jwt", jwt_secret=SECRET, coalesce_ms=0)
    async with gateway, await asyncio.start_server(fed, "127.0.0.1", feed_port) as feeder:
        await feeder.serve_forever()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
