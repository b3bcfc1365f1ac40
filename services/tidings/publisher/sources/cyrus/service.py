"""The composition root of `tidings cyrus-notify`: one thread takes in, one keeps. No event loop, and few imports."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from tidings.errors import SettingsError
from tidings.ops import unix_socket
from tidings.ops.paced import Paced
from tidings.publisher.sources.cyrus.inbox import Inbox
from tidings.publisher.sources.cyrus.keeping import Keeper
from tidings.publisher.sources.cyrus.notification import Notification
from tidings.publisher.sources.cyrus.settings import CyrusNotifySettings
from tidings.publisher.sources.cyrus.stopped import Waker
from tidings.publisher.sources.cyrus.taking import Datagrams, Lines
from tidings.publisher.sources.journal.writer import JournalWriter

SWEEP_SECONDS: Final = 1.0
EVENT: Final = b"EVENT"
SETTING: Final = "--socket (TIDINGS_SOCKET)"

_log = structlog.get_logger("tidings.cyrus")


def run(settings: CyrusNotifySettings) -> None:
    """Own the socket until SIGTERM or SIGINT.

    Raises SettingsError when the socket or the journal cannot be used, and RuntimeError when nothing can be kept any
    more for a fault of ours, which the log has: then it is to be started again.
    """
    inbox = Inbox()
    keeper = Keeper(inbox, JournalWriter(settings.journal_dir), virtual_domains=settings.virtual_domains)
    others = Paced[bytes]()

    def take(notification: Notification) -> None:
        if notification.kind == EVENT:
            inbox.put(notification.message)
        elif times := others.happened(notification.kind, time.monotonic()):
            kind = notification.kind[:32].decode("ascii", "backslashreplace")
            _log.warning("notifications that are not events were ignored", kind=kind, times=times)

    with selectors.DefaultSelector() as selector, Waker():
        end = _End(selector)
        path = settings.socket_path
        kind = socket.SOCK_STREAM if settings.is_dlist else socket.SOCK_DGRAM
        sock = unix_socket.bind(path, kind, SETTING, as_open_as_directory=True)
        inode = path.lstat().st_ino
        taker = (Lines if settings.is_dlist else Datagrams)(sock, selector, take, inbox.lose)
        try:
            # Only now: what happened before is looked for, what happens from now on is told.
            _begin(keeper, settings)
            keeping = threading.Thread(target=end.after, args=(keeper.run,), name="keeper")
            keeping.start()
            _log.info("started", services=["cyrus-notify"], socket=settings.socket, journal=str(settings.journal_dir))
            while not end.asked:
                for key, _ in selector.select(SWEEP_SECONDS):
                    key.data()
                taker.sweep(time.monotonic())
            _log.info("stopping")
        finally:
            unix_socket.remove(path, inode)
            taker.close()
            inbox.close()
    keeping.join()
    if not end.by_signal:
        raise RuntimeError("the journal is not written any more")
    _log.info("stopped")


def _begin(keeper: Keeper, settings: CyrusNotifySettings) -> None:
    try:
        settings.journal_dir.mkdir(mode=0o770, parents=True, exist_ok=True)
        keeper.was_away()
    except OSError as error:
        raise SettingsError(
            f"--journal-dir (TIDINGS_JOURNAL_DIR): {settings.journal_dir}: {error.strerror or error}"
        ) from None


class _End:
    """What ends the process: SIGTERM and SIGINT, of which a second one means now, and the end of a thread."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.asked = False
        self.by_signal = False
        reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        selector.register(reading, selectors.EVENT_READ, lambda: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def after(self, work: Callable[[], None]) -> None:
        """Do something that is not to end before the process is asked to."""
        try:
            work()
        finally:
            self._ask()

    def _on_signal(self, number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self.by_signal = True
        self._ask()

    def _ask(self) -> None:
        """End the loop: the selector is woken."""
        self.asked = True
        os.write(self._writing, b"\0")
