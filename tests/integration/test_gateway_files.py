"""No files left: who is parked is served, probes are answered, and accepting goes on when files are freed."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import jmap_client, upgrade
from tests.support.processes import Tidings, tidings

FILES = 64
"""That a client may still open, before the reserve."""
EVENT = {"specversion": "1.0", "source": "test", "type": "mail.MessageNew"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Tidings]:
    flags = ("--maildir", f"{tmp_path}/mail", "--state-dir", f"{tmp_path}/state", "--coalesce-ms", "0")
    with tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": "secret-token-of-tests"}) as process:
        yield process
    assert not process.stray
    assert [event for event in process.logs if event.get("level") in ("error", "critical")] == []


def open_files(process: Tidings) -> int:
    return sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())


@contextmanager
def connections(port: int, count: int, *, parked: bool) -> Iterator[list[socket.socket]]:
    """Connections that say nothing, or are parked as soon as they are accepted."""
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            socks.append(sock)
            if parked:
                sock.sendall(upgrade("/jmap/ws?account=bob"))
        yield socks
    finally:
        for sock in socks:
            sock.close()


async def test_without_files_left_nobody_notices_but_newcomers(running: Tidings) -> None:
    port = running.ports["gateway"]
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer secret-token-of-tests"}) as http:

        async def metric(name: str) -> float:
            text = (await http.get(running.url("probe", "/metrics"))).text
            return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

        async def publish(number: int) -> None:
            event = {**EVENT, "id": str(number), "subject": "alice", "data": {"changed": {"Email": str(number)}}}
            posted = await http.post(
                running.url("ingest", "/v1/changes"),
                json=event,
                headers={"Content-Type": "application/cloudevents+json"},
            )
            assert posted.status_code == 202

        url = f"ws://127.0.0.1:{port}/jmap/ws?account=alice"
        async with jmap_client(url) as client:
            assert await client.subscribe() == {}
            limit = open_files(running) + FILES
            resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (limit, limit))
            with connections(port, 2 * FILES, parked=True):
                running.wait(lambda: running.events("accepting paused"))
                for number in range(3):
                    # Past the pause: files do not become fewer by trying again.
                    await asyncio.sleep(1.1)
                    async with httpx2.AsyncClient() as kubelet:
                        assert (await kubelet.get(running.url("probe", "/livez"))).status_code == 200
                        assert (await kubelet.get(running.url("admin", "/readyz"))).status_code == 200
                    await publish(number)
                    assert await client.changed() == {"alice": {"Email": str(number)}}
                assert open_files(running) < limit
                assert len(running.events("accepting paused")) == await metric("tidings_accept_pauses_total") == 1
            async with jmap_client(url) as newcomer:
                assert await newcomer.subscribe() == {}
                await publish(3)
                assert await client.changed() == await newcomer.changed() == {"alice": {"Email": "3"}}


async def test_whoever_says_nothing_makes_room_for_newcomers(running: Tidings) -> None:
    url = f"ws://127.0.0.1:{running.ports['gateway']}/jmap/ws?account=alice"
    async with jmap_client(url) as client:
        assert await client.subscribe() == {}
        limit = open_files(running) + FILES
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (limit, limit))
        with connections(running.ports["gateway"], 10 * FILES, parked=False):
            for _ in range(3):
                async with jmap_client(url) as newcomer, httpx2.AsyncClient() as kubelet:
                    assert await newcomer.subscribe() == {}
                    assert (await kubelet.get(running.url("probe", "/livez"))).status_code == 200
            assert open_files(running) < limit
    assert running.events("accepting paused") == []
