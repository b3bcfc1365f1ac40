from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.images import images
from tests.cluster.kube import Kube
from tests.cluster.programs import ProgramError, programs
from tests.image.engine import EngineError
from tests.support.roots import RootError

BUILD_SECONDS = 5_400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for programs and images to be built."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """A cluster that is ready to run pods."""
    try:
        built = programs()
        cluster = Kube(built, images(built[0]))
    except (EngineError, ProgramError, RootError) as error:
        pytest.fail(str(error), pytrace=False)
    with cluster:
        yield cluster
