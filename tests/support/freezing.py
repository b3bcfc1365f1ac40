"""Processes that are stopped for a while (SIGSTOP)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import comes_true

STOP_SECONDS = 5.0


def freeze(pid: int) -> None:
    """Stop a process, and return once each of its threads has stopped.

    The signal takes a moment to reach threads that run. Until then the process may still answer.
    """
    os.kill(pid, signal.SIGSTOP)
    assert comes_true(lambda: all(state in "TtZX" for state in _states(pid)), STOP_SECONDS), f"{pid} does not stop"


def _states(pid: int) -> list[str]:
    """The state of each thread (proc_pid_stat(5))."""
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            states.append((task / "stat").read_text().rpartition(") ")[2][0])
    return states
