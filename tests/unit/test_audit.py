"""The audit of dependencies, by the real pip-audit, against a server of the OSV API that a test starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = "jinja2==2.10.0 --hash=sha256:{}\n".format("0" * 64)
ADVISORY = {
    "id": "PYSEC-2019-217",
    "modified": "2021-11-22T04:57:52Z",
    "summary": "Sandbox escape via string formatting",
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    """Knows one advisory."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] == "jinja2" and asked["version"] == "2.10.0"
        body = json.dumps({"vulns": [ADVISORY]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audit(lock: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "audit.py"), str(lock)],
        env={**os.environ, "AUDIT_OSV": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_version_with_a_known_vulnerability_fails_and_is_named(database: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(PIN)
    done = audit(lock, database)
    assert done.returncode == 1
    assert done.stderr == "Known vulnerability: jinja2 2.10.0: PYSEC-2019-217, mended in 2.10.1\n"


def test_what_is_locked_passes_where_nothing_is_known_of_it(database: str) -> None:
    done = audit(ROOT / "requirements" / "run.txt", database)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_database_that_cannot_be_reached_is_no_pass(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(PIN)
    done = audit(lock, "http://127.0.0.1:9/v1/query")
    assert done.returncode == 3
    assert done.stderr.startswith("NOT AUDITED for known vulnerabilities")
