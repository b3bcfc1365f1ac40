"""Fixtures of every folder whose tests run publishers on the broker of the whole run; a conftest imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.publisher import Log, Running, Start
from tests.support.rabbitmq import BrokerError, Node
from tests.support.shared import shared_node


@pytest.fixture(scope="session")
def broker(run_directory: Path) -> Iterator[Node]:
    """One RabbitMQ node for the whole run, in whichever process. A test that hurts its node takes one of its own."""
    with reported(), shared_node(run_directory / "broker") as node:
        yield node


@pytest.fixture
def bus_url(broker: Node) -> str:
    """The URL of an empty virtual host of the shared node."""
    return broker.fresh_url()


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


@contextmanager
def reported() -> Iterator[None]:
    """A node that does not start is one line, and no traceback."""
    try:
        yield
    except BrokerError as error:
        pytest.fail(str(error), pytrace=False)
