"""A gateway in this process, its clients in another: what it costs is then this thread's CPU time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from multiprocessing.connection import Connection as Pipe

from bench.crowd import DEADLINE_SECONDS, Crowd
from bench.peers.tidings import OPENED, opening
from bench.usage import cores, on_core


def _crowd(port: int, control: Pipe) -> None:
    """Prepare connections of accounts, open them, or read until so many changes have come, as told.

    Otherwise it sleeps: what is measured then contains no wake-ups of a reader on the same machine.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the bench's, which ends this process
    os.sched_setaffinity(0, {cores()[1]})
    requests: list[tuple[bytes, bytes]] = []
    with closing(Crowd(port, OPENED)) as crowd:
        while True:
            match control.recv():
                case int(due):
                    crowd.run(lambda: crowd.told >= due)
                case "open":
                    crowd.open(requests)
                case accounts:
                    requests = [opening(account) for account in accounts]
            control.send(crowd.told)


class Clients:
    """The clients' process."""

    def __init__(self, control: Pipe) -> None:
        self._control = control
        self.told = 0

    async def prepare(self, accounts: Sequence[str]) -> None:
        """Make the requests for connections of these accounts, one each."""
        await self._do(list(accounts))

    async def open(self) -> None:
        """Open what was prepared; return when all are subscribed."""
        await self._do("open")

    async def read(self, changes: int) -> None:
        """Have them read so many changes more."""
        await self._do(self.told + changes)

    async def _do(self, what: object) -> None:
        self._control.send(what)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not self._control.poll(0):
                await asyncio.sleep(0.002)
        self.told = self._control.recv()


@asynccontextmanager
async def clients(port: int) -> AsyncIterator[Clients]:
    """Clients of the server at this port, on the load's core; this process moves to the server's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_crowd, args=(port, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        with on_core(cores()[0]):
            yield Clients(ours)
    finally:
        process.terminate()
        process.join()
