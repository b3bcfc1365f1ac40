from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import changelog
from tests.support.broker import Broker
from tests.support.fixtures import broker, bus_url, log, reported, start

__all__ = ["broker", "bus_url", "log", "start"]


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A node of the module's own, to stop, kill and freeze; each test leaves it running."""
    with reported(), Broker(vhosts=16) as node:
        yield node


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail a test that leaves a task or an error that nobody retrieved."""
    async with changelog.nothing_left():
        yield
