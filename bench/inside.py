"""A gateway in this process, its clients in another: what it costs is then this thread's CPU time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from multiprocessing.connection import Connection as Pipe
from multiprocessing.sharedctypes import Synchronized

from bench.crowd import DEADLINE_SECONDS, Crowd
from bench.peers.tidings import OPENED, opening
from bench.usage import cores, on_core


def _crowd(port: int, control: Pipe, told: Synchronized[int]) -> None:
    """Open connections of the accounts asked for; otherwise read, count and answer pings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the bench's, which ends this process
    os.sched_setaffinity(0, {cores()[1]})
    with closing(Crowd(port, OPENED)) as crowd:
        while True:
            if control.poll(0):
                requests = [opening(account) for account in control.recv()]
                control.send("prepared")
                control.recv()
                crowd.open(requests)
                control.send("open")
            crowd.idle(0.001)
            told.value = crowd.told


class Clients:
    """The clients' process."""

    def __init__(self, control: Pipe, told: Synchronized[int]) -> None:
        self._control = control
        self._told = told

    @property
    def told(self) -> int:
        """Changes they have been told of."""
        return self._told.value

    async def prepare(self, accounts: Sequence[str]) -> None:
        """Make the requests for connections of these accounts, one each."""
        self._control.send(accounts)
        await self._answered()

    async def open(self) -> None:
        """Open what was prepared; return when all are subscribed."""
        self._control.send("go")
        await self._answered()

    async def _answered(self) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not self._control.poll(0):
                await asyncio.sleep(0.01)
        self._control.recv()

    async def wait_told(self, total: int) -> None:
        """Wait until they have been told of so many changes in all."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while self.told < total:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def clients(port: int) -> AsyncIterator[Clients]:
    """Clients of the server at this port, on the load's core; this process moves to the server's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    told = context.Value("q", 0)
    process = context.Process(target=_crowd, args=(port, theirs, told), daemon=True)
    process.start()
    theirs.close()
    try:
        with on_core(cores()[0]):
            yield Clients(ours, told)
    finally:
        process.terminate()
        process.join()
