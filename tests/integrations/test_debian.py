"""The Debian package, installed on a machine of its own whose first process is systemd."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.support.clients import jmap_client
from tests.support.machine import Machine, machine
from tests.support.ports import free_ports
from tests.support.rabbitmq import Node
from tests.support.roots import REPOSITORY, RootError, root, run_program
from tests.support.waiting import comes_true, patient, within
from tidings.publisher.sources.journal.writer import JournalWriter

PACKAGE_SECONDS = 600.0
LEAST_EXPOSED = 2.0
"""The level of `systemd-analyze security` that these units stay below; 10 is what is not confined at all."""
SERVICES = ("gateway", "publisher", "webmail")
PORTS = {"gateway": "TIDINGS_PORT", "publisher": "TIDINGS_INGEST_PORT", "webmail": "TIDINGS_PORT"}
TOKEN = "secret-token-of-tests"


class Installed:
    """A machine with the package; `ports` are what its services listen on, by service."""

    def __init__(self, booted: Machine, bus: str) -> None:
        self.machine = booted
        ports = free_ports(9)
        self.ports = dict(zip(SERVICES, ports, strict=False))
        for service, admin, probe in zip(SERVICES, ports[3::2], ports[4::2], strict=True):
            bus_line = "" if service == "webmail" else f"TIDINGS_BUS={bus}\n"
            (booted.path / "etc/tidings" / f"{service}.env").write_text(
                f"{PORTS[service]}={self.ports[service]}\n"
                f"TIDINGS_ADMIN_PORT={admin}\nTIDINGS_PROBE_PORT={probe}\n{bus_line}"
            )
            override = booted.path / f"etc/systemd/system/tidings-{service}.socket.d/override.conf"
            override.parent.mkdir(parents=True)
            override.write_text(f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{self.ports[service]}\n")
        self.admin = dict(zip(SERVICES, ports[3::2], strict=True))
        self.add("publisher", f"TIDINGS_INGEST_TOKENS={TOKEN}")
        booted.run("systemctl", "daemon-reload")

    def add(self, service: str, setting: str) -> None:
        """One setting more, which the service has after its next start."""
        with (self.machine.path / "etc/tidings" / f"{service}.env").open("a") as file:
            file.write(f"{setting}\n")

    def url(self, service: str, path: str = "", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.ports[service]}{path}"

    def start(self, *services: str) -> None:
        for service in services:
            self.machine.run("systemctl", "start", f"tidings-{service}.socket", f"tidings-{service}.service")


@pytest.fixture(scope="module")
def package() -> Path:
    said = run_program([str(REPOSITORY / "scripts/package")], patient(PACKAGE_SECONDS))
    return REPOSITORY / said.partition("Written: ")[2].strip()


@pytest.fixture(scope="module")
def installed(package: Path, broker: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    directory = tmp_path_factory.mktemp("machine")
    base = root("bookworm", "systemd", "python3", "adduser", "dbus")
    with base.copied(directory / "root") as copy:
        (copy.path / "var/tmp/tidings.deb").write_bytes(package.read_bytes())
        copy.run("dpkg", "--install", "/var/tmp/tidings.deb")
        with machine(copy, directory) as booted:
            yield Installed(booted, broker.fresh_url())


def event_of(account: str, state: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": state,
        "source": "/test",
        "type": "mail.MessageNew",
        "subject": account,
        "data": {"changed": {"Email": state}},
    }


async def publish(url: str, account: str, state: str) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        answer = await http.post(
            f"{url}/v1/changes",
            json=event_of(account, state),
            headers={"Content-Type": "application/cloudevents+json"},
            timeout=patient(30),
        )
    assert answer.status_code == 202, answer.text


def test_nothing_is_started_before_it_has_settings(installed: Installed) -> None:
    units = installed.machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "tidings-*")
    assert " active " not in units
    example = installed.machine.run("tidings", "config", "example", "gateway")
    assert "# TIDINGS_PORT=8080\n" in example
    modes = installed.machine.run("stat", "--format=%U %G %a", "/etc/tidings", "/etc/tidings/gateway.env")
    assert modes.splitlines() == ["root root 755", "root tidings 640"]


async def test_a_change_goes_through_and_a_restart_refuses_nobody(installed: Installed) -> None:
    await asyncio.to_thread(installed.start, *SERVICES)
    async with jmap_client(installed.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()
        await publish(installed.url("publisher"), "alice", "s1")
        assert await client.changed() == {"alice": {"Email": "s1"}}
    restarted = asyncio.Event()
    refused: list[str] = []

    async def knock() -> int:
        """Open a new connection all the time: what comes while nobody accepts waits."""
        answered = 0
        async with httpx2.AsyncClient(timeout=patient(60)) as http:
            while not restarted.is_set():
                try:
                    headers = {"Connection": "close"}
                    answer = await http.get(installed.url("gateway", "/.well-known/jmap?account=bob"), headers=headers)
                    answered += answer.status_code == 200
                except httpx2.ConnectError as error:
                    refused.append(str(error))
        return answered

    knocking = asyncio.create_task(knock())
    await asyncio.to_thread(installed.machine.run, "systemctl", "restart", "tidings-gateway", "tidings-publisher")
    restarted.set()
    assert await knocking
    assert refused == []
    async with jmap_client(installed.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()
        await publish(installed.url("publisher"), "alice", "s2")
        assert await client.changed() == {"alice": {"Email": "s2"}}


async def test_a_journal_beside_the_publisher_is_told_and_emptied(installed: Installed) -> None:
    journal = installed.machine.path / "var/lib/tidings/journal"
    # As the package for Dovecot makes it.
    installed.machine.run("install", "-d", "-o", "tidings", "-g", "tidings", "-m", "1733", "/var/lib/tidings/journal")
    installed.add("publisher", "TIDINGS_JOURNAL_DIR=/var/lib/tidings/journal")
    await asyncio.to_thread(installed.start, "gateway")
    await asyncio.to_thread(installed.machine.run, "systemctl", "restart", "tidings-publisher")
    async with jmap_client(installed.url("gateway", "/jmap/ws?account=carol", "ws")) as client:
        await client.subscribe()
        assert JournalWriter(journal).append([event_of("carol", "j1")])
        installed.machine.run("sh", "-c", "chmod 644 /var/lib/tidings/journal/*")
        assert await client.changed() == {"carol": {"Email": "j1"}}
    async with within(30):
        while list(journal.iterdir()):
            await asyncio.sleep(0.05)


async def test_several_workers_accept_from_the_socket_of_systemd(installed: Installed) -> None:
    installed.add("gateway", "TIDINGS_WORKERS=2")
    await asyncio.to_thread(installed.start, "publisher")
    await asyncio.to_thread(installed.machine.run, "systemctl", "restart", "tidings-gateway")
    async with jmap_client(installed.url("gateway", "/jmap/ws?account=carol", "ws")) as client:
        await client.subscribe()
        await publish(installed.url("publisher"), "carol", "w1")
        assert await client.changed() == {"carol": {"Email": "w1"}}
    assert "systemd opened sockets that no setting uses" not in installed.machine.journal("tidings-gateway")


async def test_a_service_that_hangs_is_started_again(installed: Installed) -> None:
    drop_in = installed.machine.path / "etc/systemd/system/tidings-webmail.service.d/watchdog.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=5\n")
    installed.machine.run("systemctl", "daemon-reload")
    installed.machine.run("systemctl", "restart", "tidings-webmail")
    installed.machine.run("systemctl", "kill", "--signal=STOP", "tidings-webmail")
    async with within(60):
        while True:
            shown = ("systemctl", "show", "--value", "--property=NRestarts", "tidings-webmail")
            if int(await asyncio.to_thread(installed.machine.run, *shown)):
                break
            await asyncio.sleep(0.2)
    async with httpx2.AsyncClient(timeout=patient(30)) as http:
        assert (await http.get(installed.url("webmail", "/"))).status_code == 200


def test_a_unix_socket_of_systemd_is_taken(installed: Installed) -> None:
    etc = installed.machine.path / "etc"
    page = (REPOSITORY / "docs" / "operate" / "proxies.md").read_text()
    drop_in = re.search(r"```ini\n(.*?)```", page, re.DOTALL)
    assert drop_in is not None
    override = etc / "systemd/system/tidings-webmail.socket.d/override.conf"
    override.write_text(drop_in[1].replace("gateway", "webmail"))
    with (etc / "tidings/webmail.env").open("a") as file:
        file.write("TIDINGS_HOST=unix:/run/tidings/webmail.sock\n")
    units = ("tidings-webmail.socket", "tidings-webmail.service")
    installed.machine.run("systemctl", "daemon-reload")
    installed.machine.run("systemctl", "stop", *units)
    installed.machine.run("systemctl", "start", *units)
    assert installed.machine.run("python3", "-c", _ASK, "/run/tidings/webmail.sock") == "HTTP/1.1 200 OK\n"
    owned = installed.machine.run("stat", "--format=%G %a", "/run/tidings/webmail.sock")
    assert owned == "www-data 660\n"
    installed.machine.run("journalctl", "--sync")
    said = installed.machine.journal("tidings-webmail")
    assert "systemd opened sockets that no setting uses" not in said
    assert "socket=/run/tidings/webmail.sock" in said or '"socket": "/run/tidings/webmail.sock"' in said


_ASK = """
import socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect(sys.argv[1])
asking.sendall(b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
print(asking.makefile().readline().strip())
"""


def test_status_says_how_the_services_are(installed: Installed) -> None:
    installed.start("gateway", "publisher")
    urls = ",".join(f"http://127.0.0.1:{installed.admin[name]}" for name in ("gateway", "publisher"))

    said = ""

    def all_is_well() -> str:
        nonlocal said
        # Not before both have reached the broker.
        with suppress(RootError):
            said = installed.machine.run("tidings", "status", "--admin-url", urls)
        return said

    assert comes_true(all_is_well, 30)
    assert re.search(r" gateway +0\.1\.0 +yes +up ", said)
    assert re.search(r" publisher +0\.1\.0 +yes +up", said)


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_is_confined(installed: Installed, service: str) -> None:
    unit = f"tidings-{service}.service"
    installed.machine.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}")
    said = installed.machine.run("systemd-analyze", "security", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None
    assert float(found[1]) < LEAST_EXPOSED


def test_the_package_holds_what_it_needs_and_no_tools(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    owners = {line.split()[1] for line in listed.splitlines()}
    assert owners == {"root/root"}
    assert not re.search(r"/(uv|pip|setuptools|hatchling)/", listed)
    assert not re.search(r" \./(?!usr/|$)", listed, re.MULTILINE)


def test_removed_and_purged(installed: Installed) -> None:
    other = installed.machine.path / "etc/tidings/webmail.key"
    other.write_text("of a drop-in for a webmail")
    installed.machine.run("dpkg", "--remove", "tidings")
    assert (installed.machine.path / "etc/tidings/gateway.env").exists()
    assert "tidings" not in installed.machine.run("systemctl", "list-units", "--plain", "--no-legend", "--state=active")
    installed.machine.run("dpkg", "--purge", "tidings")
    assert list(other.parent.iterdir()) == [other]
    assert (installed.machine.path / "var/lib/tidings").exists()
