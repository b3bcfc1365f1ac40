"""What dpkg runs: a service that fails holds up neither the package nor the other services."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "deploy" / "debian"
SYSTEMCTL = """#!/bin/sh
echo "$@"
case "$*" in *tidings-gateway.service) exit 1 ;; esac
"""


@pytest.mark.parametrize(
    ("script", "action", "verb", "complaint"),
    [("postinst", "triggered", "try-restart", "did not start"), ("prerm", "remove", "disable --now", "did not stop")],
)
def test_a_service_that_fails_holds_up_nothing(
    script: str, action: str, verb: str, complaint: str, tmp_path: Path
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    text = (SCRIPTS / script).read_text()
    assert "/run/systemd/system" in text
    done = subprocess.run(
        ["/bin/sh", "-c", text.replace("/run/systemd/system", str(tmp_path)), script, action],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    calls = [line for line in done.stdout.splitlines() if line.startswith(verb)]
    assert [line.rpartition("tidings-")[2] for line in calls] == [
        "gateway.service",
        "publisher.service",
        "webmail.service",
    ]
    assert done.stderr == f"tidings-gateway {complaint}: see journalctl -u tidings-gateway\n"
