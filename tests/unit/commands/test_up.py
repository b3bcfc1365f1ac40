from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from tests.support.waiting import patient
from tidings.commands.up import page_url

START_SECONDS = 60.0


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("localhost", "http://localhost:8080/"),
        ("0.0.0.0", "http://127.0.0.1:8080/"),
        ("::", "http://[::1]:8080/"),
        ("::1", "http://[::1]:8080/"),
    ],
)
def test_the_url_is_one_that_a_browser_here_can_open(host: str, url: str) -> None:
    assert page_url(host, 8080) == url


def test_the_url_to_open_is_the_last_line(tmp_path: Path) -> None:
    ports = ["--port", "0", "--ingest-port", "0", "--admin-port", "0", "--probe-port", "0"]
    mail = ["--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state")]
    command = [sys.executable, "-m", "tidings", "up", *ports, *mail, "--log-format", "console"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        # Whatever goes wrong, reading ends.
        deadline = threading.Timer(patient(START_SECONDS), process.kill)
        deadline.start()
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "Open in a browser: " in line:
                    break
            url = lines[-1].rpartition(" ")[2].strip()
            assert "started" in lines[-2]
            assert "Tidings" in httpx2.get(url).text
            process.terminate()
            said, _ = process.communicate()
        finally:
            process.kill()
            deadline.cancel()
    assert "stopping" in said.splitlines()[0], "nothing came after it"
    assert process.returncode == 0
