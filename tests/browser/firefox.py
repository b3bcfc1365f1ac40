"""Debian's Firefox, driven by WebDriver BiDi: Playwright drives only a build of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.waiting import within

LISTENING = "WebDriver BiDi listening on "
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
PREFERENCES = {
    # A process for each tab, so that one can be killed without the others.
    "dom.ipc.processCount.webIsolated": 16,
    "dom.ipc.processPrelaunch.enabled": False,
    "dom.ipc.keepProcessesAlive.webIsolated.perOrigin": 0,
    "browser.tabs.unloadOnLowMemory": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox:
    """A session of WebDriver BiDi; one command at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with within(ANSWER_SECONDS):
            while (answer := json.loads(await self._socket.recv())).get("id") != number:
                pass
        assert answer["type"] == "success", answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    async def open(self, url: str) -> FirefoxTab:
        context = (await self.call("browsingContext.create", type="tab"))["context"]
        await self.call("browsingContext.navigate", context=context, url=url, wait="complete")
        return FirefoxTab(self, context)


class FirefoxTab:
    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, which may be a promise of it."""
        answer = await self._firefox.call(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await ({expression})) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    async def close(self) -> None:
        await self._firefox.call("browsingContext.close", context=self._context)


async def _read(process: asyncio.subprocess.Process, said: list[str], listening: asyncio.Event) -> None:
    """Note what it says; it listens once it says so, and what comes later is only kept from filling the pipe."""
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if not listening.is_set():
            said.append(line.strip())
        if line.startswith(LISTENING):
            listening.set()
    listening.set()


@asynccontextmanager
async def firefox(profile: Path) -> AsyncIterator[Firefox]:
    """Start one with an empty profile in this directory."""
    executable = shutil.which("firefox-esr") or shutil.which("firefox")
    assert executable, "Firefox is needed: install it with `apt-get install firefox-esr`"
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *(executable, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    said: list[str] = []
    listening = asyncio.Event()
    reading = asyncio.create_task(_read(process, said, listening))
    try:
        async with within(START_SECONDS):
            await listening.wait()
        assert said[-1].startswith(LISTENING), "Firefox has ended"
        async with connect(f"{said[-1].removeprefix(LISTENING)}/session", max_size=None) as socket:
            session = Firefox(socket)
            await session.call("session.new", capabilities={})
            yield session
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
        sys.stderr.write("\n".join(["Firefox:", *said, ""]))
