"""The suite out of the image: the same commands with the same flags, each in a container that may do nothing else."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.image.engine import Engine
from tests.integration.test_end_to_end import TOKEN, Suite
from tests.support.processes import Tidings

UID = 65532
"""The image's user."""


class Contained(Tidings):
    """A command in a container, whose network is the host's. `paths` are there under the same names."""

    def __init__(
        self, docker: Engine, image: str, paths: Sequence[Path], command: str, *flags: str, env: Mapping[str, str]
    ) -> None:
        self._docker = docker
        self._name = f"tidings-{uuid.uuid4().hex[:12]}"
        program = docker.restricted(self._name, image, paths, sorted(env))
        super().__init__(command, *flags, env={**docker.environment, **env}, program=program)

    def kill(self) -> None:
        self._docker("kill", self._name)
        super().kill()


class ContainedSuite(Suite):
    """Publisher, gateway and webmail in containers of their own, as the image's user."""

    def __init__(self, docker: Engine, image: str, bus: str, directory: Path, stack: ExitStack) -> None:
        self._docker = docker
        self._image = image
        self._state = directory / "state"
        self._state.mkdir()
        super().__init__(bus, directory, stack)

    def start_publisher(self) -> Tidings:
        # What the test made up to here is the container's from now on.
        for path in (self._state, self.root, *self.root.rglob("*")):
            os.chown(path, UID, UID)
        return super().start_publisher()

    def start_webmail(self) -> Tidings:
        return self._stack.enter_context(self._contained("webmail", "--maildir", str(self.root)))

    def _start(self, command: str, *flags: str) -> Tidings:
        started = self._stack.enter_context(self._contained(command, *flags))
        started.wait_connected()
        return started

    @contextmanager
    def _contained(self, command: str, *flags: str) -> Iterator[Tidings]:
        paths = (self.root, self._state)
        env = {"TIDINGS_INGEST_TOKENS": TOKEN}
        running = Contained(self._docker, self._image, paths, command, *flags, env=env)
        try:
            running.wait_started()
            yield running
        finally:
            if running.process.returncode is None:
                running.stop()
