"""The supervisor: it forks workers and the admin process, and starts again those that end.

It has one thread and no event loop for as long as it lives, so that it can fork at any time: a fork copies locks as
other threads hold them, and an epoll set that both processes would change. Signals are blocked and waited for,
which leaves no moment in which one could be missed. See docs/decisions.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog

from tidings.errors import SettingsError
from tidings.ops import systemd
from tidings.ops.health import BEAT_SECONDS
from tidings.ops.process.lifecycle import tell_started
from tidings.ops.process.workers.board import FAULT_BYTES, Seat
from tidings.ops.process.workers.restarts import BACKOFF, FAULT_EXIT, deaths_in_a_row, description, is_fault

STARTED_POLL_SECONDS: Final = 0.05
CRASH_EXIT: Final = 1
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SIGNALS: Final = (*STOP_SIGNALS, signal.SIGCHLD)

_log = structlog.get_logger()


@dataclass(slots=True)
class Child:
    """A process that is kept running."""

    name: str
    labels: Mapping[str, object]
    """What tells it apart in the log."""
    seat: Seat
    live: Callable[[], None]
    """What it does, once it is forked."""
    forked: float = 0.0
    """When, in monotonic seconds."""
    deaths: int = 0
    """How many in a row."""
    due: float | None = 0.0
    """When to start it, in monotonic seconds; None while it runs."""


class Supervisor:
    """Forks, waits, forks again. `stop_workers` and `stop_admin` tell those processes to stop, and return at once."""

    def __init__(
        self,
        seat: Seat,
        workers: Sequence[Child],
        admin: Child,
        stop_workers: Callable[[], None],
        stop_admin: Callable[[], None],
    ) -> None:
        self._seat = seat
        self._workers = workers
        self._admin = admin
        self._children = (admin, *workers)
        self._stop_workers = stop_workers
        self._stop_admin = stop_admin
        self._stopping = False
        self._fault: str | None = None
        self._mask: set[int] = set()

    def run(self) -> int:
        """Until a signal, and for as long as stopping takes; the exit code.

        Raises SettingsError for what a worker could not start with.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._seat.pid = os.getpid()
        # None of what is there now is garbage: no collection in a child shall touch, and thereby copy, its pages.
        gc.collect()
        gc.freeze()
        announced = False
        while not self._stopped():
            self._seat.beat = time.monotonic()
            systemd.beat()
            self._start_those_due()
            if not announced and all(child.seat.started for child in self._workers):
                announced = True
                _log.info("started", workers=len(self._workers))
                tell_started()
            number = self._wait(BEAT_SECONDS if announced else STARTED_POLL_SECONDS)
            if number in STOP_SIGNALS:
                if self._stopping:
                    return self._end_now(number)
                self._stop()
            self._reap()
        if self._fault is not None:
            raise SettingsError(self._fault)
        _log.info("stopped")
        return 0

    def _wait(self, seconds: float) -> int | None:
        """Wait for a signal, for so long at most and not beyond the next start; its number."""
        due = min((child.due for child in self._children if child.due is not None), default=None)
        if due is not None and not self._stopping:
            seconds = min(seconds, max(0.0, due - time.monotonic()))
        info = signal.sigtimedwait(SIGNALS, seconds)
        return None if info is None else info.si_signo

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.due is not None and child.due <= now and not self._stopping:
                self._start(child)

    def _start(self, child: Child) -> None:
        child.seat.beat = child.forked = time.monotonic()
        child.seat.fault = b""
        try:
            pid = os.fork()
        except OSError as error:
            self._start_later(child, reason=error.strerror or str(error))
            return
        if pid == 0:
            self._be(child)
        child.seat.pid = pid
        child.due = None

    def _be(self, child: Child) -> NoReturn:
        """In the child: live, and exit without unwinding what the supervisor had begun."""
        code = CRASH_EXIT
        try:
            # From a terminal it comes to all of them, and the supervisor sees to it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            child.live()
            code = 0
        except SettingsError as error:
            code = FAULT_EXIT
            child.seat.fault = str(error).encode()[: FAULT_BYTES - 1]
        except BaseException:  # noqa: BLE001 - logged, and the exit code tells
            _log.exception("process failed")
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """See who ended; as the first process of a container, orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.seat.pid == pid:
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, exit_code: int) -> None:
        pid, child.seat.pid = child.seat.pid, 0
        reason = child.seat.fault.decode(errors="replace")
        if self._stopping:
            if exit_code:
                _log.warning(f"{child.name} ended", **child.labels, pid=pid, **description(exit_code))
        elif is_fault(exit_code, ever_started=child.seat.started):
            self._fault = reason
            self._stop()
        else:
            told = {"reason": reason} if reason else {}
            self._start_later(child, pid=pid, **description(exit_code), **told)

    def _start_later(self, child: Child, **labels: object) -> None:
        now = time.monotonic()
        child.deaths = deaths_in_a_row(child.deaths, now - child.forked)
        seconds = BACKOFF.pause(child.deaths, random.random())  # noqa: S311 - jitter
        child.due = now + seconds
        child.seat.restarts += 1
        _log.error(
            f"{child.name} ended",
            **child.labels,
            **labels,
            ran_seconds=round(now - child.forked, 1),
            next_start_seconds=round(seconds, 2),
        )

    def _stop(self) -> None:
        self._stopping = True
        _log.info("stopping")
        systemd.notify("STOPPING=1")
        self._stop_workers()

    def _stopped(self) -> bool:
        """Whether everybody is gone; the admin process goes last, so that the workers' end can be watched."""
        if not self._stopping or any(child.seat.pid for child in self._workers):
            return False
        self._stop_admin()
        return not self._admin.seat.pid

    def _end_now(self, number: int) -> int:
        """Kill everybody; the exit code that a shell would give."""
        for child in self._children:
            if child.seat.pid:
                os.kill(child.seat.pid, signal.SIGKILL)
                os.waitpid(child.seat.pid, 0)
        _log.warning("all processes killed by a second signal", signal=signal.Signals(number).name)
        return 128 + number
