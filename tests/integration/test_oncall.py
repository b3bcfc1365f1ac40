"""The commands for the person on call, against processes that run."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.clients import event_stream, jmap_client
from tests.support.keys import pem, private_key, token
from tests.support.metrics import Scrape
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient, within
from tidings.cli import USAGE_EXIT, main

SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    directory = tmp_path_factory.mktemp("up")
    with tidings("up", "--maildir", f"{directory}/mail", "--state-dir", f"{directory}/state") as process:
        process.wait_started()
        yield process


class Terminal:
    """Runs commands, and keeps what each printed.

    One that sets up logging has a process of its own: here it would take the loggers of other tests.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    async def run(self, *arguments: str) -> int:
        if arguments[0] == "token":
            return await self._run_apart(*arguments)
        code = await asyncio.to_thread(main, arguments)
        self.out, self.err = self._capsys.readouterr()
        return code

    async def _run_apart(self, *arguments: str) -> int:
        command = (sys.executable, "-m", "tidings", *arguments)
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=patient(60)
        )
        self.out, self.err = done.stdout, done.stderr
        return done.returncode


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


async def test_status_of_what_runs_and_of_what_does_not(up: Tidings, terminal: Terminal) -> None:
    assert await terminal.run("status", "--admin-url", up.url("admin")) == 0
    assert re.search(rf"^{up.url('admin')} +up +0\.1\.0 +yes ", terminal.out, re.MULTILINE)
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert await terminal.run("status", "--admin-url", f"{up.url('admin')},{nobody}", "--json") == 1
    document = json.loads(terminal.out)
    assert document["wrong"] == [f"{nobody}: does not answer: nothing listens there"]
    assert [process["process"] for process in document["processes"]] == [up.url("admin")]


async def test_a_port_that_is_none_of_ours(up: Tidings, terminal: Terminal) -> None:
    assert await terminal.run("status", "--admin-url", up.url("gateway")) == 1
    assert re.search(r"answers (400|404|401)|does not answer as a process of Tidings", terminal.out)


async def test_an_accounts_connections_and_their_end(up: Tidings, terminal: Terminal) -> None:
    admin = ("--admin-url", up.url("admin"))
    async with (
        jmap_client(up.url("gateway", "/jmap/ws?account=alice", "ws")) as client,
        jmap_client(up.url("gateway", "/jmap/ws?account=bob", "ws")) as other,
    ):
        await client.subscribe(["Email"])
        await other.subscribe()
        assert await terminal.run("publish", "alice", "--ingest-url", up.url("ingest"), "--state", "s1") == 0
        assert await client.changed() == {"alice": {"Email": "s1"}}
        assert await terminal.run("connections", *admin) == 0
        assert re.search(r" websocket +2$", terminal.out, re.MULTILINE)
        assert await terminal.run("connections", "--account", "alice", *admin) == 0
        assert re.search(r" websocket +subscribed +Email ", terminal.out)
        assert await terminal.run("shards", *admin) == 0
        assert terminal.out.count(" live ") == 2
        assert await terminal.run("explain", "alice", *admin) == 0
        assert re.search(r"subscribed, from now on.*\n(.*\n)*.*Email is at s1.*\n.*pushed to 1", terminal.out)
        assert await terminal.run("disconnect", "alice", *admin) == 0
        assert terminal.out == f"{up.url('admin')}: 1 connection closed\n"
        assert (await client.closed())[0] == 1008
        # Nobody else is.
        assert (
            await terminal.run("publish", "bob", "--ingest-url", up.url("ingest"), "--types", "Email", "--state", "b1")
            == 0
        )
        assert await other.changed() == {"bob": {"Email": "b1"}}
    (said,) = up.events("account disconnected")
    assert (said["account"], said["connections"], said["code"], said["asked_from"]) == ("alice", 1, 1008, "127.0.0.1")


async def test_clients_may_be_sent_elsewhere(up: Tidings, terminal: Terminal) -> None:
    async with (
        jmap_client(up.url("gateway", "/jmap/ws?account=carol", "ws")) as client,
        event_stream(up.url("gateway", "/jmap/eventsource?account=carol&types=*&closeafter=no&ping=0")) as stream,
    ):
        await client.subscribe()
        await stream.event()
        assert await terminal.run("disconnect", "carol", "--code", "1012", "--admin-url", up.url("admin")) == 0
        assert terminal.out.endswith(": 2 connections closed\n")
        assert (await client.closed())[0] == 1012


async def test_a_page_of_the_browser_can_disconnect_nobody(up: Tidings) -> None:
    async with httpx2.AsyncClient() as http:
        url = up.url("admin", "/debug/accounts/alice/disconnect")
        assert (await http.post(url)).status_code == 403
        headers = {"X-Requested-With": "test"}
        assert (await http.get(url, headers=headers)).status_code == 405
        assert (await http.post(f"{url}?code=1000", headers=headers)).status_code == 400
        assert (await http.post(url.replace("alice", "%0a"), headers=headers)).status_code == 400


@pytest.mark.parametrize("transport", ["websocket", "eventsource", "poll"])
async def test_what_clients_are_told_can_be_watched(up: Tidings, terminal: Terminal, transport: str) -> None:
    account = f"watched-{transport}"
    flags = ("--gateway-url", up.url("gateway"), "--transport", transport, "--types", "Email")
    command = (sys.executable, "-m", "tidings", "watch", account, *flags)
    page = up.url("admin", f"/debug/accounts/{account}?seconds=0")
    async with httpx2.AsyncClient(timeout=patient(5)) as client, within(30):
        watching = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert watching.stdout is not None
        try:
            while not any(each["state"] == "subscribed" for each in (await client.get(page)).json()["connections"]):
                assert watching.returncode is None
                await asyncio.sleep(0.02)
            assert await terminal.run("publish", account, "--ingest-url", up.url("ingest"), "--state", "w1") == 0
            while not (line := await watching.stdout.readline()).endswith(
                f'{{"{account}": {{"Email": "w1"}}}}\n'.encode()
            ):
                assert line, "it has ended"
            # Ctrl+C.
            watching.send_signal(signal.SIGINT)
            assert await watching.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                watching.kill()


async def test_what_a_publisher_refuses_is_not_told_again(up: Tidings, terminal: Terminal) -> None:
    flags = ("--ingest-url", up.url("ingest"), "--types", "no type", "--timeout-seconds", "3")
    assert await terminal.run("publish", "alice", *flags) == 1
    assert terminal.err.endswith(" answers 422: no event was taken: see problems\n")
    async with httpx2.AsyncClient(timeout=patient(5)) as http:
        metrics = Scrape((await http.get(up.url("probe", "/metrics"))).text)
    assert metrics.value("tidings_publisher_requests_total", status="422") == 1


async def test_watching_ends_after_the_time_that_is_given(up: Tidings, terminal: Terminal) -> None:
    assert await terminal.run("watch", "nobody", "--gateway-url", up.url("gateway"), "--seconds", "0.5") == 0
    assert terminal.err == ""


async def test_watching_a_gateway_that_is_not_there(terminal: Terminal) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert await terminal.run("watch", "alice", "--gateway-url", url) == 1
    assert terminal.err == f"tidings watch: the gateway at {url} opens no WebSocket: nothing listens there\n"


async def test_all_workers_are_asked(bus_url: str, terminal: Terminal) -> None:
    with tidings("gateway", "--bus", bus_url, "--workers", "2") as gateway:
        # Each worker says that it has started, and then all of them together.
        gateway.wait(lambda: any("workers" in event for event in gateway.events("started")))
        gateway.wait(lambda: httpx2.get(gateway.url("probe", "/readyz")).json()["unready"] == {})
        admin = ("--admin-url", gateway.url("admin"))
        url = gateway.url("gateway", "/jmap/ws?account=alice", "ws")
        async with jmap_client(url) as one, jmap_client(url) as two:
            await one.subscribe()
            await two.subscribe()
            assert await terminal.run("status", *admin) == 0
            assert re.search(r" gateway +0\.1\.0 +yes +up +2 ", terminal.out)
            assert await terminal.run("connections", "--account", "alice", *admin) == 0
            assert terminal.out.count(" (worker ") == 2
            assert await terminal.run("disconnect", "alice", *admin) == 0
            assert terminal.out.endswith(": 2 connections closed\n")
            assert {(await one.closed())[0], (await two.closed())[0]} == {1008}


async def test_why_a_token_is_refused(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_JWT_SECRET", SECRET)
    assert await terminal.run("token", "make", "--account", "alice,shared") == 0
    made = terminal.out.strip()

    async def checked(**environ: str) -> str:
        with monkeypatch.context() as context:
            for name, value in {"TIDINGS_CLIENT_TOKEN": made, **environ}.items():
                context.setenv(name, value)
            code = await terminal.run("token", "check")
        assert code == (0 if terminal.out.startswith("taken: ") else 1)
        return terminal.out

    assert (await checked()).startswith("taken: accounts alice, shared; it ends ")
    assert "signature was made with another secret" in await checked(TIDINGS_JWT_SECRET=SECRET[::-1])
    assert "not a JSON Web Token" in await checked(TIDINGS_CLIENT_TOKEN="x" * 40)
    assert "this gateway requires one" in await checked(TIDINGS_JWT_AUDIENCE="tidings")
    assert "is not the trusted one" in await checked(TIDINGS_JWT_ISSUER="https://issuer.example")


async def test_a_token_of_another_kind(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = private_key("ES256")
    (tmp_path / "key.pem").write_bytes(pem(key))
    monkeypatch.setenv("TIDINGS_CLIENT_TOKEN", token(key, "ES256"))
    assert await terminal.run("token", "check", "--jwt-key", f"{tmp_path}/key.pem") == 0
    monkeypatch.setenv("TIDINGS_CLIENT_TOKEN", token(private_key("ES256", 1), "ES256"))
    assert await terminal.run("token", "check", "--jwt-key", f"{tmp_path}/key.pem") == 1
    assert "signature was made with another key" in terminal.out
    monkeypatch.setenv("TIDINGS_JWT_SECRET", SECRET)
    assert await terminal.run("token", "check") == 1
    assert "signed with ES256, and TIDINGS_JWT_SECRET verifies HS256 alone" in terminal.out
    assert await terminal.run("token", "make", "--account", "alice") == 0
    monkeypatch.setenv("TIDINGS_CLIENT_TOKEN", terminal.out.strip())
    monkeypatch.delenv("TIDINGS_JWT_SECRET")
    assert await terminal.run("token", "check", "--jwt-key", f"{tmp_path}/key.pem") == 1
    assert "signed with a shared secret (HS256), and the gateway verifies public keys" in terminal.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain",), "tidings explain: ACCOUNT (TIDINGS_ACCOUNT): field required\n"),
        (("explain", "a", "b"), "tidings explain: got unexpected extra argument (b)"),
        (("disconnect", "a", "--code", "1000"), "tidings disconnect: --code (TIDINGS_CODE): "),
        (("status", "--kube", "mail", "--admin-url", "http://a"), "tidings status: --kube and --admin-url: give one"),
        (("token", "make"), "tidings token: make needs --account, and the HS256 secret in TIDINGS_JWT_SECRET\n"),
        (("token", "check"), "tidings token: check needs the token in TIDINGS_CLIENT_TOKEN\n"),
        (("config", "check", "gatway"), "tidings config: COMMAND (TIDINGS_COMMAND): there is no command 'gatway'\n"),
        (("publish", "a\nb"), "tidings publish: ACCOUNT (TIDINGS_ACCOUNT): "),
    ],
)
async def test_what_is_wrong_is_named(arguments: tuple[str, ...], said: str, terminal: Terminal) -> None:
    assert await terminal.run(*arguments) == USAGE_EXIT
    assert terminal.err.startswith(said)


async def test_settings_can_be_looked_at_before_they_are_used(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_PORT", "8443")
    monkeypatch.setenv("TIDINGS_JWT_SECRET", SECRET)
    assert await terminal.run("config", "check", "gateway") == 0
    assert "\nTIDINGS_PORT=8443\n" in terminal.out
    assert "\nTIDINGS_JWT_SECRET=(set)\n" in terminal.out
    assert SECRET not in terminal.out
    assert await terminal.run("config", "example", "gateway") == 0
    assert "\n# TIDINGS_PORT=8080\n" in terminal.out
    monkeypatch.setenv("TIDINGS_PORT", "x")
    assert await terminal.run("config", "check", "gateway") == USAGE_EXIT
    assert terminal.err.startswith("tidings config: --port (TIDINGS_PORT): ")


KUBECTL = """#!/bin/sh
case "$1" in
get) cat {pods} ;;
port-forward)
    [ "$4" != pod/gateway-2 ] || exit 1
    printf 'Forwarding from 127.0.0.1:{port} -> 9090\\n'; exec sleep 600 ;;
esac
"""


async def test_pods_are_asked_through_kubectl(
    up: Tidings, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command around kubectl; a program in its place says what kubectl says, and forwards to a real port."""
    pods: list[dict[str, Any]] = [
        {
            "metadata": {"name": name},
            "status": {"phase": "Running"},
            "spec": {"containers": [{"name": "gateway"}]},
        }
        for name in ("gateway-1", "gateway-2")
    ]
    (tmp_path / "pods").write_text(json.dumps({"items": pods[:1]}))
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(pods=tmp_path / "pods", port=up.ports["admin"]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert await terminal.run("status", "--kube", "mail") == 0
    assert "gateway-1:9090" in terminal.out
    (tmp_path / "pods").write_text(json.dumps({"items": pods}))
    assert await terminal.run("connections", "--kube", "mail", "--json") == 1
    told = json.loads(terminal.out)
    assert {each["process"] for each in told["connections"]} == {"gateway-1:9090"}
    assert told["faults"] == ["gateway-2:9090: does not answer: kubectl port-forward failed"]
    (tmp_path / "pods").write_text('{"items": []}')
    assert await terminal.run("status", "--kube", "mail") == 1
    assert terminal.err.startswith("tidings: the namespace mail has no running pod with an admin port")
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await terminal.run("status", "--kube", "mail") == 1
    assert terminal.err == "tidings: --kube needs the program kubectl, which is not on the PATH\n"
