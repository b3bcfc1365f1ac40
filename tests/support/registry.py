"""A registry of images and charts, for as long as a test needs it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_ports, serves
from tests.support.waiting import comes_true

START_SECONDS = 30.0


class RegistryError(Exception):
    """It does not start; the text is its log."""


@contextmanager
def registry(certificate: Path | None = None, users: str = "") -> Iterator[str]:
    """Run one; its host and port. With a certificate, which has its key in the same file, it speaks TLS.

    `users`: the text of an htpasswd file with bcrypt, where it serves those users alone.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="tidings-registry-") as name:
        directory = Path(name)
        settings: dict[str, Any] = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        if certificate is not None:
            settings["http"]["tls"] = {"certificate": str(certificate), "key": str(certificate)}
        if users:
            (directory / "users").write_text(users)
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "users")}}
        configuration = directory / "config.yml"
        configuration.write_text(json.dumps(settings))
        command = ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", str(configuration)]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            if (
                not comes_true(lambda: serves(port) or process.poll() is not None, START_SECONDS)
                or process.poll() is not None
            ):
                raise RegistryError((directory / "log").read_text())
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
