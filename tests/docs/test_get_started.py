"""docs/get-started.md, command by command: what it says to run is run, and what it says is seen is seen."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from tests.support.processes import Tidings, tidings
from tests.support.waiting import comes_true

PAGE = (Path(__file__).parents[2] / "docs" / "get-started.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PORTS = {"8080": "gateway", "8081": "ingest", "9090": "admin"}
SECONDS = 20.0


def here(command: str, up: Tidings) -> str:
    """A command of the page, for the ports that this process has."""
    return re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{up.ports[PORTS[found[1]]]}", command)


def run(command: str, folder: Path) -> str:
    return subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=True).stdout


def events(stream: Path) -> list[tuple[str, dict[str, object]]]:
    """What the waiting client has printed: (event, changed)."""
    whole = re.findall(r"^event: (\w+)\nid: .*\ndata: (.*)\n\n", stream.read_text(), re.MULTILINE)
    return [(event, json.loads(data)["changed"]) for event, data in whole]


def test_every_way_to_start_is_a_command_there_is() -> None:
    _, clone, pip, container, *_ = BLOCKS
    assert clone == "make run\n"
    assert pip.splitlines()[-1].endswith("bin/tidings up --maildir var/mail --state-dir var/state")
    assert container.splitlines()[-1].endswith("tidings:0.1.0 up")


def test_every_command_of_the_page(tmp_path: Path) -> None:
    deliver, listen, publish, story = BLOCKS[4:]
    flags = ("--maildir", str(tmp_path / "var" / "mail"), "--state-dir", str(tmp_path / "var" / "state"))
    seen = tmp_path / "seen"
    with tidings("up", *flags) as up, seen.open("wb") as stream:
        client = subprocess.Popen(shlex.split(here(listen, up)), stdout=stream, stderr=subprocess.DEVNULL)
        try:
            assert comes_true(lambda: events(seen) == [("cursor", {})], SECONDS)
            assert run(here(publish, up), tmp_path).startswith("HTTP/1.1 202 Accepted")
            assert comes_true(lambda: len(events(seen)) == 2, SECONDS)
            run(deliver, tmp_path)
            assert comes_true(lambda: len(events(seen)) >= 3, SECONDS)
        finally:
            client.terminate()
            client.wait()
        for event, changed in events(seen)[1:]:
            assert event == "state"
            assert set(changed) == {"alice"}
        told = json.loads(run(here(story, up), tmp_path))
        assert len(told["changes"]) >= 2
        assert "pushed to 1" in {note["what"] for note in told["history"]}
