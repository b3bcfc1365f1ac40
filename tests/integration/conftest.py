from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support import changelog
from tests.support.broker import Broker, BrokerError
from tests.support.publisher import Log, Running, Start


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """One RabbitMQ node for the whole run. Never stop it: a test that needs that takes `own_broker`."""
    with _start(vhosts=64) as node:
        yield node


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A node of the module's own, to stop, kill and freeze; each test leaves it running."""
    with _start(vhosts=16) as node:
        yield node


@pytest.fixture
def bus_url(broker: Broker) -> str:
    """The URL of an empty virtual host of the shared node."""
    return broker.fresh_url()


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or an error that nobody retrieved."""
    async with changelog.nothing_left():
        yield


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    """What publishers under test append to."""
    log = Log()
    await log.open()
    yield log
    await log.close()


@pytest.fixture
async def start(log: Log, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts publishers with these settings; they have ended after the test."""
    async with AsyncExitStack() as stack:

        async def start(**members: object) -> Running:
            running = await Running.composed(log.log, **{"state_dir": tmp_path / "state", **members}).start()
            stack.push_async_callback(running.stop)
            return running

        yield start


def _start(vhosts: int) -> Broker:
    try:
        return Broker(vhosts)
    except BrokerError as error:
        pytest.fail(str(error), pytrace=False)
