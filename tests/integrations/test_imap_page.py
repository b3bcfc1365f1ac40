"""docs/integrate/imap.md, command by command: what it says to run is run, and a client is told."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.support.dovecot_server import RELEASES
from tests.support.imap_server import INTEGRATION, MASTER_PASSWORD, PAGE, PASSWORD, Dovecot
from tests.support.processes import Tidings, tidings
from tests.support.tls import make_certificate
from tests.support.waiting import patient
from tidings.publisher.sources.imap.accounts_file import parse

SECONDS = 20.0
FILE_COMMAND, UP_COMMAND, STREAM_COMMAND, METRICS_COMMAND, MASTER_COMMAND = re.findall(
    r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
)
SERVER = "imaps://mail.example"


def stream(up: Tidings) -> Generator[dict[str, str]]:
    """What the page's event stream tells of alice."""
    (path,) = re.findall(r"^curl -N 'http://127\.0\.0\.1:8080(\S*)'$", STREAM_COMMAND, re.MULTILINE)
    with httpx2.stream("GET", up.url("gateway", path), timeout=patient(SECONDS)) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and (changed := json.loads(line.removeprefix("data:")).get("changed")):
                yield dict(changed["alice"])
            elif line.startswith("id:"):
                yield {}


@pytest.mark.parametrize("version", sorted(RELEASES))
def test_every_command_of_the_page(version: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    subprocess.run(["sh", "-eu", "-c", FILE_COMMAND], cwd=tmp_path, check=True)
    accounts = tmp_path / "accounts"
    assert accounts.stat().st_mode & 0o777 == 0o600
    secret = parse(accounts.read_text(), 1)["alice"].login().secret
    assert secret == "secret of alice"
    assert f"tidings up --imap-url {SERVER} --imap-accounts accounts\n" == UP_COMMAND
    # Her password is another one here, and once she is the master user's.
    accounts.write_text(accounts.read_text().replace(secret, PASSWORD))
    assert "doveadm pw" in MASTER_COMMAND  # which every Dovecot of the tests is set up with
    with Dovecot(version, tmp_path / "imap", ["alice"], certificate) as dovecot:
        flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--coalesce-ms", "0")
        served = ("--imap-url", dovecot.url("imaps"), "--imap-accounts", str(accounts))
        with tidings("up", *flags, *served, env={"SSL_CERT_FILE": str(certificate)}) as up, closing(stream(up)) as told:
            up.wait(lambda: "tidings_publisher_imap_connections 1.0" in metrics(up))
            assert next(told) == {}
            dovecot.deliver("alice")
            assert set(until_told(told)) == {"Email", "Mailbox", "Thread", "EmailDelivery"}
            assert 'tidings_source_connected{source="imap"} 1.0' in metrics(up)
            accounts.write_text(f"master tidings password='{MASTER_PASSWORD}'\nalice\n")
            up.wait(lambda: up.events("imap accounts were read again"))
            up.wait(lambda: "tidings_publisher_imap_connections 1.0" in metrics(up))
            dovecot.deliver("alice")
            assert "Email" in until_told(told)


def until_told(told: Iterator[dict[str, str]]) -> dict[str, str]:
    return next(changed for changed in told if changed)


def metrics(up: Tidings) -> str:
    """What the page's command shows."""
    assert METRICS_COMMAND == "curl -s http://127.0.0.1:9091/metrics | grep imap\n"
    lines = httpx2.get(up.url("probe", "/metrics"), timeout=patient(SECONDS)).text.splitlines()
    return "\n".join(line for line in lines if "imap" in line)


def test_the_example_of_a_file_of_accounts_is_one() -> None:
    entries = parse((INTEGRATION / "accounts").read_text(), 10)
    assert [entry.user.partition("@")[0] for entry in entries.values()] == ["alice", "bob", "carol", "dave", "erin"]
    assert entries["alice@mail.example"].master == "tidings"
