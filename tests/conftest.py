from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from httpx2._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# How long an example takes says nothing on a machine that is shared; hangs are ended by the tests' own timeout.
settings.register_profile("tidings", deadline=None)
settings.load_profile("tidings")

# What a page takes on a busy machine. Services set timeouts of their own.
DEFAULT_TIMEOUT_CONFIG.read = 120.0

# A shell lets what it starts in the background ignore SIGINT, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
ORDER = (
    "faults",
    "browser",
    "hostile",
    "chart",
    "integration",
    "examples",
    "monitoring",
    "conformance",
    "asyncio_pprof",
    "unit",
)
"""What waits comes first. What only computes comes last, in pieces so small that all workers end at once."""
COVERED = (HERE / "unit", HERE / "asyncio_pprof")
"""The pure modules' own tests cover them. Coverage is measured nowhere else, since that makes Python twice as slow."""
ALONE = "tests/browser/test_dashboard.py"


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # its package has no types
    """Tests of one file go to one worker, in the order of the collection. So do all that share a Chromium.

    A file has its own broker or its own running programs. Only the dashboard's tests have a Chromium of their own,
    since they take as long as all other tests of the browser.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "tests/browser" if path.startswith("tests/browser/") and path != ALONE else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not any(map(item.path.is_relative_to, COVERED)):
            item.add_marker(pytest.mark.no_cover)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(HERE).parts[0]
    return ORDER.index(folder) if folder in ORDER else 0


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of this run, the same one in all of its workers."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
