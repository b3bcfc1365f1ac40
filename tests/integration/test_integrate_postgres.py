"""docs/integrate/postgres.md, command by command: what it says to run is run, and a client is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.postgres import Postgres, binaries
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient

PAGE = Path(__file__).parents[2] / "docs" / "integrate" / "postgres.md"
SECONDS = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class Client:
    """The event stream of the page."""

    def __init__(self, up: Tidings) -> None:
        (command,) = (block for block in blocks("sh") if block.startswith("curl"))
        url = re.findall(r"'http://127\.0\.0\.1:8080(.*)'", command)[0]
        self._stream = httpx2.stream("GET", up.url("gateway", url), timeout=patient(SECONDS))
        self._lines = iter(self._stream.__enter__().iter_lines())
        self._next_id()

    def _next_id(self) -> None:
        while not next(self._lines).startswith("id:"):
            pass

    def told(self) -> dict[str, str]:
        """What the next event says of alice."""
        for line in self._lines:
            if line.startswith("data:") and (changed := json.loads(line.removeprefix("data:")).get("changed")):
                return dict(changed["alice"])
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._stream.__exit__(None, None, None)


def test_every_command_of_the_page(server: Postgres, tmp_path: Path) -> None:
    url = server.fresh_url(None)

    def psql(sql: str) -> str:
        command = [str(binaries() / "psql"), "--set=ON_ERROR_STOP=1", "--quiet", url]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    schema, up_command, _ = blocks("sh")
    assert schema == "tidings postgres-schema | psql mail\n"
    assert up_command == "tidings up --postgres-url postgresql:///mail\n"
    printed = subprocess.run(
        [sys.executable, "-m", "tidings", "postgres-schema"], capture_output=True, text=True, check=True
    )
    psql(printed.stdout)
    first, states, look, trigger, by_trigger, debezium, refused = blocks("sql")
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"), "--coalesce-ms", "0")
    with tidings("up", *flags, "--postgres-url", url) as up:
        client = Client(up)
        try:
            psql(first)
            assert set(client.told()) == {"Email", "Mailbox", "Thread", "EmailDelivery"}
            psql(states)
            assert client.told() == {"Email": "s1043"}
            psql(look)
            assert all(state.startswith("resync-") for state in client.told().values())
            psql(trigger)
            psql(by_trigger)
            assert "EmailDelivery" in client.told()
            psql(debezium)
            assert client.told() == {"Email": "s1044"}
            assert "(0 rows)" in psql(refused)
        finally:
            client.close()
