"""`tidings check` against installations that do what they should, and others."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jwt
import pytest

from tests.support.gateway import SECRET
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.rabbitmq import Node
from tests.support.waiting import patient, promised

TOKEN = "ingest-token-of-tests"
KEYS = {"TIDINGS_INGEST_TOKEN": TOKEN, "TIDINGS_JWT_SECRET": SECRET}


def check(*flags: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    """Run it as an operator would."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    command = [sys.executable, "-m", "tidings", "check", *flags]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=patient(100), env={**inherited, **env}
    )


def urls(up: Tidings) -> tuple[str, ...]:
    return ("--ingest-url", up.url("ingest"), "--gateway-url", up.url("gateway"))


@pytest.fixture(scope="module")
def open_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    """Everything in one process, for anybody on this machine."""
    root = tmp_path_factory.mktemp("open")
    with tidings("up", "--maildir", str(root / "mail"), "--state-dir", str(root / "state")) as up:
        yield up


@pytest.fixture(scope="module")
def closed_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    """Everything in one process, for those with tokens."""
    root = tmp_path_factory.mktemp("closed")
    flags = ("--maildir", str(root / "mail"), "--state-dir", str(root / "state"), "--auth", "jwt")
    with tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN, "TIDINGS_JWT_SECRET": SECRET}) as up:
        yield up


def test_one_change_there_and_back(open_up: Tidings) -> None:
    done = check(*urls(open_up))
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{open_up.url('ingest')} -> {open_up.url('gateway')}: confirmed after ")


def test_tokens_are_made_of_a_secret_or_given(closed_up: Tidings) -> None:
    assert check(*urls(closed_up), env=KEYS).returncode == 0
    given = jwt.encode({"sub": "somebody", "exp": int(time.time()) + 60}, SECRET, algorithm="HS256")
    done = check(*urls(closed_up), env={"TIDINGS_INGEST_TOKEN": TOKEN, "TIDINGS_CLIENT_TOKEN": given})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "answers 401: a token is required"),
        ({"TIDINGS_JWT_SECRET": SECRET}, "answers 401: a token is required, as Bearer"),
        ({**KEYS, "TIDINGS_INGEST_TOKEN": "wrong-token-of-tests"}, "answers 401: a token is required, as Bearer"),
        ({**KEYS, "TIDINGS_JWT_SECRET": SECRET[::-1]}, "answers 401: the token is not valid here"),
    ],
)
def test_who_is_not_let_in_is_told_by_whom_and_why(closed_up: Tidings, env: dict[str, str], said: str) -> None:
    done = check(*urls(closed_up), env=env)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("tidings check: the ")
    assert said in line
    assert "wrong-token-of-tests" not in line


def tls(url: str) -> str:
    return url.replace("http:", "https:")


def test_nobody_there_is_one_line(open_up: Tidings) -> None:
    (port,) = free_ports(1)
    nobody = f"http://127.0.0.1:{port}"
    for flags, said in (
        (
            ("--ingest-url", nobody, "--gateway-url", open_up.url("gateway")),
            f"the publisher at {nobody} does not answer: nothing listens there",
        ),
        (
            ("--ingest-url", open_up.url("ingest"), "--gateway-url", nobody),
            f"the gateway at {nobody} opens no WebSocket: nothing listens there",
        ),
        (("--ingest-url", open_up.url("gateway"), "--gateway-url", open_up.url("gateway")), "publisher?)"),
        (("--ingest-url", open_up.url("ingest"), "--gateway-url", open_up.url("ingest")), "gateway?)"),
        (
            ("--ingest-url", tls(open_up.url("ingest")), "--gateway-url", open_up.url("gateway")),
            "does not answer: the server does not use TLS: try http://",
        ),
        (
            ("--ingest-url", open_up.url("ingest"), "--gateway-url", tls(open_up.url("gateway"))),
            "opens no WebSocket: the server does not use TLS: try http://",
        ),
        (
            ("--ingest-url", open_up.url("ingest"), "--gateway-url", "http://nowhere.invalid"),
            "opens no WebSocket: the host name does not exist",
        ),
    ):
        # Of what does answer it is also how long that may take.
        done = check(*flags, "--timeout-seconds", f"{promised(3):.1f}")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert said in line


async def test_who_is_on_the_way_is_waited_for(tmp_path: Path) -> None:
    gateway, ingest = free_ports(2)
    there = ("--ingest-url", f"http://127.0.0.1:{ingest}", "--gateway-url", f"http://127.0.0.1:{gateway}")
    checked = asyncio.create_task(asyncio.to_thread(check, *there, "--timeout-seconds", str(patient(60))))
    # Longer than a check takes that does not wait.
    done, _ = await asyncio.wait({checked}, timeout=2)
    assert not done
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags, "--port", str(gateway), "--ingest-port", str(ingest)):
        assert (await checked).returncode == 0


def test_two_halves_of_different_installations(broker: Node, open_up: Tidings, tmp_path: Path) -> None:
    flags = ("--bus", broker.fresh_url(), "--state-dir", str(tmp_path / "state"))
    with tidings("publisher", *flags) as publisher:
        publisher.wait_connected()
        # So long the subscription may take, too.
        seconds = f"{promised(3):.1f}"
        there = ("--ingest-url", publisher.url("ingest"), "--gateway-url", open_up.url("gateway"))
        done = check(*there, "--timeout-seconds", seconds)
    assert done.returncode == 1
    assert f"did not push within {float(seconds):g} s what the publisher has confirmed" in done.stderr


def test_a_gateway_without_its_log_is_said_to_be(open_up: Tidings) -> None:
    (port,) = free_ports(1)
    with tidings("gateway", "--bus", f"amqp://guest:guest@127.0.0.1:{port}/") as gateway:
        done = check(
            "--ingest-url", open_up.url("ingest"), "--gateway-url", gateway.url("gateway"), "--timeout-seconds", "0.5"
        )
    assert done.returncode == 1
    assert "did not answer a subscription within 0.5 s: is it connected to the change log?" in done.stderr


@pytest.mark.parametrize(
    ("flags", "env", "said"),
    [
        (["--ingest-url", "ftp://x"], {}, "--ingest-url (TIDINGS_INGEST_URL)"),
        (["--account", "a/b"], {}, "--account (TIDINGS_ACCOUNT): must not contain '/'"),
        (["--accounts", "0"], {}, "--accounts (TIDINGS_ACCOUNTS)"),
        ([], {"TIDINGS_CLIENT_TOKEN": "x"}, "TIDINGS_CLIENT_TOKEN is not a JWT"),
        ([], {"TIDINGS_CLIENT_TOKEN": "x", "TIDINGS_JWT_SECRET": SECRET}, "give one of them"),
        (["--jwt-secret", "x"], {}, "would show in the process list"),
    ],
)
def test_what_the_operator_has_to_change_is_one_line(flags: list[str], env: dict[str, str], said: str) -> None:
    done = check(*flags, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_many_changes_are_counted(closed_up: Tidings) -> None:
    flags = ("--seconds", "3", "--accounts", "5", "--clients", "9", "--rate", "40", "--seed", "7")
    done = check(*urls(closed_up), *flags, env=KEYS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "counting for 3 s with --seed 7" in done.stdout
    counted = dict(line.split("  ", 1) for line in done.stdout.splitlines() if "  " in line)
    assert counted["lost"].split()[0] == "0"
    assert int(counted["acknowledged"].split()[0]) > 0
    assert int(counted["pushed"].split()[0]) > 0


def test_clients_that_are_not_let_in_are_counted(tmp_path: Path) -> None:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--max-connections", "1")
    with tidings("up", *flags) as up:
        # So long the one client may take, too, that all begins with.
        seconds = f"{promised(3):.1f}"
        done = check(*urls(up), "--seconds", "1", "--clients", "30", "--timeout-seconds", seconds)
    assert done.returncode == 1
    said = rf"tidings check: \d+ of 30 clients got no subscription within {float(seconds):g} s\n"
    assert re.fullmatch(said, done.stderr)
