"""examples/publish: each example tells a real publisher, in weather good and bad, and a client is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import httpx2
import pytest

from tests.examples.relay import RETRY_AFTER_SECONDS, Failure, relay
from tests.support.clients import JmapClient, jmap_client
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.shared import shared_node
from tests.support.waiting import comes_true, patient

EXAMPLES = Path(__file__).parents[2] / "examples" / "publish"
TOKEN = "ingest-token-of-tests"
SECONDS = 40.0
BUILD_SECONDS = 120.0
REFUSED = 1
AGAIN = "not taken, told again in "
COMMANDS = {
    "python": (sys.executable, str(EXAMPLES / "python" / "example.py")),
    "go": ("go",),
    "php": ("php", str(EXAMPLES / "php" / "example.php")),
    "node": ("node", str(EXAMPLES / "node" / "example.mjs")),
    "shell": ("sh", str(EXAMPLES / "shell" / "tell.sh")),
}
"""By language. Go's program has to be built first."""


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("go") / "tell"
    done = subprocess.run(
        ["go", "build", "-o", program, "."],
        cwd=EXAMPLES / "go",
        capture_output=True,
        text=True,
        timeout=patient(BUILD_SECONDS),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(program)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tidings]:
    """Publisher and gateway in one, the log in memory."""
    home = tmp_path_factory.mktemp("up")
    flags = ("--maildir", str(home / "mail"), "--state-dir", str(home / "state"), "--coalesce-ms", "0")
    with tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}) as up:
        yield up


@pytest.fixture(scope="module")
def bus(run_directory: Path) -> Iterator[str]:
    with shared_node(run_directory / "broker") as node:
        yield node.fresh_url()


@pytest.fixture(scope="module")
def gateway(bus: str) -> Iterator[Tidings]:
    """A gateway that stays while publishers come and go."""
    # Tests that wait for a process answer no ping meanwhile.
    with tidings("gateway", "--bus", bus, "--coalesce-ms", "0", "--ping-seconds", "600") as gateway:
        yield gateway


class Example:
    """A running example, which is told of changes line by line."""

    def __init__(self, language: str, go_program: str, url: str, token: str = TOKEN) -> None:
        self.language = language
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *((go_program,) if language == "go" else COMMANDS[language])],
            env={**environment, "TIDINGS_INGEST_URL": url, "TIDINGS_INGEST_TOKEN": token},
            stdin=subprocess.PIPE,
            stderr=self._said,
        )

    def change(self, number: int) -> None:
        """Email has a new state. So has a type that no other change names: no later change covers that one."""
        self.line(self.language, {"Email": f"s{number}", f"Type{number}": "new"})

    def line(self, account: str, changed: Mapping[str, str]) -> None:
        self.raw(f"{account} FlagsSet {json.dumps(changed)}")

    def raw(self, line: str) -> None:
        assert self.process.stdin is not None
        # One that has ended already says why.
        with suppress(BrokenPipeError):
            os.write(self.process.stdin.fileno(), f"{line}\n".encode())

    def said(self) -> str:
        # The process appends where the file's position is, which this does not move.
        return os.pread(self._said.fileno(), 1 << 20, 0).decode()

    def end(self) -> int:
        """The exit code, once all lines were told."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.process.wait(patient(SECONDS))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.language} did not end:\n{self.said()}") from None

    def __enter__(self) -> Example:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._said.close()


async def collect(client: JmapClient, account: str, last: int, told: list[dict[str, str]]) -> None:
    """Receive until the change with this number was told."""
    while not told or f"Type{last}" not in told[-1]:
        told.append((await client.changed(SECONDS))[account])


@pytest.mark.parametrize("language", COMMANDS)
async def test_nothing_is_lost_and_order_is_kept_while_the_publisher_restarts(
    language: str, go_program: str, bus: str, gateway: Tidings, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (port,) = free_ports(1)

        def publisher() -> Tidings:
            flags = ("--bus", bus, "--ingest-port", str(port), "--state-dir", str(tmp_path / "state"))
            return stack.enter_context(tidings("publisher", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN}))

        first = publisher()
        url = gateway.url("gateway", f"/jmap/ws?account={language}", "ws")
        async with jmap_client(url) as client:
            assert await client.subscribe() == {}
            example = stack.enter_context(Example(language, go_program, f"http://127.0.0.1:{port}"))
            told: list[dict[str, str]] = []
            for number in range(5):
                example.change(number)
            await collect(client, language, 4, told)
            assert example.said() == ""
            first.stop()
            for number in range(5, 10):
                example.change(number)
            assert comes_true(lambda: example.said().count(AGAIN) >= 2, SECONDS), example.said()
            publisher()
            for number in range(10, 15):
                example.change(number)
            assert example.end() == 0, example.said()
            await collect(client, language, 14, told)
    assert {name for changed in told for name in changed} == {"Email", *(f"Type{number}" for number in range(15))}
    order = [int(changed["Email"].removeprefix("s")) for changed in told]
    assert order == sorted(order)


def test_what_is_not_answered_for_is_told_again_as_the_same_event(go_program: str, up: Tidings) -> None:
    failures = (Failure.HELD, Failure.LOST, Failure.BUSY)
    with relay(up.url("ingest"), *failures) as between, ExitStack() as stack:
        start = {language: cursor(up, language) for language in COMMANDS}
        examples = [stack.enter_context(Example(language, go_program, f"{between.url}/")) for language in COMMANDS]
        for example in examples:
            example.change(1)
            example.change(2)
        assert comes_true(lambda: between.holding == len(COMMANDS), SECONDS)
        assert [line for line in command_lines() if TOKEN.encode() in line] == []
        assert {example.language: example.end() for example in examples} == dict.fromkeys(COMMANDS, 0)
        assert len(between.requests) == len(COMMANDS)
        for source, requests in between.requests.items():
            *tries, last = requests
            assert len(tries) == len(failures) + 1, source
            assert len({request.id for request in tries}) == 1, source
            assert last.id != tries[0].id, source
            assert tries[-1].at - tries[-2].at >= RETRY_AFTER_SECONDS, source
        for example in examples:
            assert example.said().count(AGAIN) == len(failures), example.said()
            changed = poll(up, example.language, start[example.language])["changed"]
            assert changed == {example.language: {"Email": "s2", "Type1": "new", "Type2": "new"}}


@pytest.mark.parametrize("language", COMMANDS)
def test_an_interrupt_ends_it_while_the_publisher_is_away(language: str, go_program: str) -> None:
    (port,) = free_ports(1)
    with Example(language, go_program, f"http://127.0.0.1:{port}") as example:
        example.change(1)
        assert comes_true(lambda: AGAIN in example.said(), SECONDS), example.said()
        example.process.send_signal(signal.SIGINT)
        assert example.process.wait(patient(SECONDS)) != 0


@pytest.mark.parametrize("language", COMMANDS)
def test_an_event_without_states_and_an_account_of_any_letters(language: str, go_program: str, up: Tidings) -> None:
    account = 'grüße"%20@mail.example'
    start = cursor(up, account)
    with Example(language, go_program, up.url("ingest")) as example:
        example.raw(f"{account} MailboxCreate")
        assert example.end() == 0, example.said()
    changed = poll(up, account, start)["changed"]
    assert isinstance(changed, dict)
    assert set(changed[account]) == {"Mailbox"}


@pytest.mark.parametrize("language", COMMANDS)
def test_what_is_refused_is_said_and_not_told_again(language: str, go_program: str, up: Tidings) -> None:
    start = cursor(up, "carol")
    with relay(up.url("ingest")) as between:
        with Example(language, go_program, between.url) as example:
            example.line("no/account", {"Email": language})
            example.line("carol", {"Email": language})
            assert example.end() == REFUSED
            assert "refused: no/account FlagsSet: 422 " in example.said()
            assert "must not contain '/'" in example.said()
            assert example.said().count("refused: ") == 1
        for url, token, status in ((between.url, "another-token-of-tests", 401), (f"{between.url}/a%2Fb", TOKEN, 400)):
            with Example(language, go_program, url, token) as example:
                example.line("carol", {"Email": "never"})
                assert example.end() == REFUSED
                assert f"refused: carol FlagsSet: {status} " in example.said()
        (requests,) = between.requests.values()
        assert len(requests) == 4
    assert poll(up, "carol", start)["changed"] == {"carol": {"Email": language}}


@pytest.mark.parametrize("language", COMMANDS)
@pytest.mark.parametrize(
    ("url", "token", "wrong"),
    [("mail.example:8081", TOKEN, "http or https URL"), ("http://127.0.0.1:9", f"{TOKEN}\n", "has a character")],
    ids=["url", "token"],
)
def test_a_setting_that_cannot_be_right_ends_it(
    language: str, url: str, token: str, wrong: str, go_program: str
) -> None:
    with Example(language, go_program, url, token) as example:
        example.line("carol", {"Email": "s1"})
        assert example.end() not in (0, REFUSED)
        assert wrong in example.said()
        assert len(example.said().splitlines()) == 1
        assert TOKEN not in example.said()


def cursor(up: Tidings, account: str) -> str:
    return str(poll(up, account, "")["pushState"])


def poll(up: Tidings, account: str, since: str) -> dict[str, object]:
    """What has changed since; the poll waits for the first change."""
    query = {"account": account, **({"since": since, "wait": "20"} if since else {})}
    answer = httpx2.get(up.url("gateway", "/jmap/changes"), params=query, timeout=patient(SECONDS))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def command_lines() -> Iterator[bytes]:
    """The arguments of every process of this machine."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
