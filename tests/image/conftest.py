from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.image.engine import BUILD_SECONDS, Engine, EngineError, build, engine
from tests.image.suite import ContainedSuite
from tests.support.broker import Broker

IMAGE = "tidings:under-test"
BUILT = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was tried."""
    if built := terminalreporter.config.stash.get(BUILT, None):
        terminalreporter.section("image")
        terminalreporter.write_line(built)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the image."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS * 2))


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    try:
        with engine() as running:
            yield running
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def image(docker: Engine, request: pytest.FixtureRequest) -> str:
    """The image, built from this tree."""
    try:
        origin = build(docker, IMAGE, "--build-arg", "REVISION=0123abc")
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    request.config.stash[BUILT] = f"{origin}. The image is {size / 1e6:.0f} MB."
    return IMAGE


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker(vhosts=16) as node:
        yield node


@pytest.fixture
def suite(docker: Engine, image: str, broker: Broker, tmp_path: Path) -> Iterator[ContainedSuite]:
    with ExitStack() as stack:
        yield ContainedSuite(docker, image, broker.fresh_url(), tmp_path, stack)
