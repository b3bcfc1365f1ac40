"""A registry of images and charts, for as long as a test needs it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_ports, serves
from tests.support.waiting import comes_true

START_SECONDS = 30.0


class RegistryError(Exception):
    """It does not start; the text is its log."""


@contextmanager
def registry() -> Iterator[str]:
    """Run one; its host and port."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="tidings-registry-") as name:
        directory = Path(name)
        configuration = directory / "config.yml"
        configuration.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {directory / 'data'}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
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
