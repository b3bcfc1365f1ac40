"""Clients of others, each in a process of its own, that print what they are told."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import within

FLAG = "--experimental-websocket"
DEADLINE = 30.0
"""Seconds that a client may take to start, or to come back after an end that it did not expect."""


def node() -> str:
    """The program."""
    found = shutil.which("node") or shutil.which("nodejs")
    assert found, "node is needed: `make test` installs it"
    return found


@functools.cache
def node_has_websocket() -> bool:
    """Whether there is one, be it behind a flag: from Node 20.10 on."""
    asked = f"process.allowedNodeEnvironmentFlags.has('{FLAG}')"
    return subprocess.run([node(), "-p", asked], capture_output=True, text=True, check=True).stdout.strip() == "true"


class Receiver:
    """A client in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._lines = process.stdout

    async def receive(self) -> Any:
        """The next thing that it was told."""
        async with within(DEADLINE):
            # What is no JSON are remarks of its libraries.
            while not (line := await self._lines.readline()).startswith(b"{"):
                assert line, "the client has ended"
        return json.loads(line)


@asynccontextmanager
async def running(
    *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Receiver]:
    """Run a command."""
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE)
    try:
        yield Receiver(process)
    finally:
        process.kill()
        await process.communicate()


def script(path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Receiver]:
    """Run a script for Node, which needs what the package.json beside it names. `env` is added to the environment."""
    assert (path.parent / "node_modules").is_dir(), f"{path.parent}: npm packages are needed: `make test` installs them"
    return running(node(), path.name, *arguments, cwd=path.parent, env={**os.environ, **env} if env else None)
