from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.image.engine import BUILD_SECONDS, Engine, EngineError, base_name, engine, provide
from tests.image.releases import Keys, NoReleaseError, Release, copied, make
from tests.image.suite import ContainedSuite
from tests.support.broker import Broker
from tests.support.registry import registry as serving_registry

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
def registry() -> Iterator[str]:
    with serving_registry() as name:
        yield name


@pytest.fixture(scope="session")
def base(docker: Engine, registry: str, request: pytest.FixtureRequest) -> str:
    """The image that ours is built on, in the registry."""
    named = base_name()
    there = f"{registry}/{named}"
    try:
        request.config.stash[BUILT] = f"{named}: {provide(docker, named)}."
        docker("tag", named, there)
        docker("push", there, seconds=BUILD_SECONDS)
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    return there


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.generated(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def released(registry: str, base: str, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release of this tree, of which all that is tried here is a part."""
    try:
        return make(copied(tmp_path_factory.mktemp("repository") / "tidings"), registry, base, keys)
    except NoReleaseError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def image(docker: Engine, base: str, released: Release, request: pytest.FixtureRequest) -> str:
    """The image, as it was published."""
    try:
        docker("pull", released.image, seconds=BUILD_SECONDS)
        docker("tag", released.image, IMAGE)
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    base_size = int(docker("image", "inspect", "--format", "{{.Size}}", base))
    request.config.stash[BUILT] += f" The image is {size / 1e6:.0f} MB, {(size - base_size) / 1e6:.0f} MB of them ours."
    return IMAGE


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker(vhosts=16) as node:
        yield node


@pytest.fixture
def suite(docker: Engine, image: str, broker: Broker, tmp_path: Path) -> Iterator[ContainedSuite]:
    with ExitStack() as stack:
        yield ContainedSuite(docker, image, broker.fresh_url(), tmp_path, stack)
