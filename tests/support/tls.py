"""TLS in front of a local port, as an ingress has it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.proxy import forward

CERTIFICATE = "127.0.0.1.pem"


def make_certificate(directory: Path, name: str = "IP:127.0.0.1") -> Path:
    """A certificate for an address or a name (`DNS:...`) that signs itself, and its key, in one file."""
    host = name.partition(":")[2]
    path = directory / f"{host}.pem"
    key = directory / "key.pem"
    asked = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1")
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName={name}")
    command = ["openssl", "req", "-x509", *asked, *names, "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


@asynccontextmanager
async def terminated(port: int, certificate: Path) -> AsyncIterator[int]:
    """A port that speaks TLS and forwards to `port`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(forward(reader, upstream_writer), forward(upstream_reader, writer))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
