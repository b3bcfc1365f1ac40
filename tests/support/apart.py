"""A gateway in a process of its own, so that its memory is nobody else's."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.gateway import RunningGateway, running_gateway
from tests.support.waiting import patient
from tidings.bus import memory
from tidings.gateway.feeds import window
from tidings.gateway.net import listener
from tidings.wire.change import Change
from tidings.wire.shard import shard_of

START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
LONG_SECONDS = 600.0


class Memory(NamedTuple):
    """Small objects that Python has allocated, and bytes of the process that are resident."""

    blocks: int
    resident: int


class Lone:
    """What is asked of the gateway over there."""

    def __init__(self, pipe: Pipe, port: int) -> None:
        self.port = port
        self._pipe = pipe

    def _ask(self, *question: object) -> Any:
        self._pipe.send(question)
        assert self._pipe.poll(patient(ANSWER_SECONDS)), f"no answer to {question[0]}"
        return self._pipe.recv()

    def publish(self, changes: list[tuple[str, dict[str, str | None]]]) -> None:
        """Append changes, one batch per shard; returns when they were told."""
        self._ask("publish", changes)

    def value(self, name: str, **labels: str) -> float:
        """A metric's present value, 0 for labels that nothing was counted under."""
        return float(self._ask("value", name, labels))

    def closed(self) -> dict[str, float]:
        """Parked connections closed, by reason."""
        found = self._ask("closed")
        assert isinstance(found, dict)
        return found

    def memory(self) -> Memory:
        """After a collection."""
        return Memory(*self._ask("memory"))

    def end_blocked(self) -> None:
        """Let the write deadline of every blocked connection come."""
        self._ask("end_blocked")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Answers:
    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self._ids = 0

    async def publish(self, changes: list[tuple[str, dict[str, str | None]]]) -> None:
        shards: dict[int, list[Change]] = {}
        for account, changed in changes:
            self._ids += 1
            change = Change(account, changed, "MessageNew", str(self._ids), "test", None)
            shards.setdefault(shard_of(account, self._gateway.log.shards), []).append(change)
        due = self._gateway.value("tidings_changes_consumed_total") + len(changes)
        for batch in shards.values():
            await self._gateway.publish_all(batch)
        while self._gateway.value("tidings_changes_consumed_total") < due:
            await asyncio.sleep(0)

    async def value(self, name: str, labels: dict[str, str]) -> float:
        return self._gateway.registry.get_sample_value(name, labels) or 0.0

    async def closed(self) -> dict[str, float]:
        (family,) = (found for found in self._gateway.registry.collect() if found.name == "tidings_connections_closed")
        return {sample.labels["reason"]: sample.value for sample in family.samples}

    async def memory(self) -> tuple[int, int]:
        gc.collect()
        return sys.getallocatedblocks(), _resident()

    async def end_blocked(self) -> None:
        listener.WRITE_SECONDS = 0.0  # type: ignore[misc]
        reactor = self._gateway.service._parts.lot.reactor  # type: ignore[attr-defined]
        for connection in reactor.connections():
            reactor.reschedule(connection, 0.0)


async def _answer(pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    async with running_gateway(ping_seconds=LONG_SECONDS) as gateway:
        answers = _Answers(gateway)
        pipe.send(gateway.port)
        while True:
            asked = asyncio.Event()
            loop.add_reader(pipe.fileno(), asked.set)
            await asked.wait()
            loop.remove_reader(pipe.fileno())
            name, *arguments = pipe.recv()
            if name == "end":
                return
            pipe.send(await getattr(answers, name)(*arguments))


def _run(pipe: Pipe) -> None:
    # What is kept of the past, for those who come back, would hide what is kept for those who do not read.
    memory.MAX_ENTRIES = 4
    window.PART_CHANGES = 0  # type: ignore[misc]
    window.MAX_PARTS = 4  # type: ignore[misc]
    # Those who do not read stay until a test ends them, however long it takes before.
    listener.WRITE_SECONDS = LONG_SECONDS  # type: ignore[misc]
    asyncio.run(_answer(pipe))


@contextmanager
def lone_gateway() -> Iterator[Lone]:
    """Start one, over a log and windows that keep next to nothing; `--coalesce-ms 0`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs,), daemon=True)
    process.start()
    try:
        assert ours.poll(patient(START_SECONDS)), "the gateway did not start"
        yield Lone(ours, ours.recv())
        ours.send(("end",))
        process.join(patient(START_SECONDS))
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()
