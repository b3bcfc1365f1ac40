"""A wall clock for processes under test, which the test sets (libfaketime). Their monotonic clock is the machine's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

MISSING = "libfaketime is needed: install it with `apt-get install libfaketime`"


class WallClock:
    """Ahead of the machine's by so many seconds."""

    def __init__(self, directory: Path, ahead: float = 0.0) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            pytest.fail(MISSING, pytrace=False)
        self._library = found[0]
        self._file = directory / "clock"
        self.set(ahead)

    @property
    def environment(self) -> Mapping[str, str]:
        """For processes that go by it."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, ahead: float) -> None:
        """Set it forward or back."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{ahead:+.0f}")
        written.replace(self._file)
