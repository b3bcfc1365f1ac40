"""Keeps changes in a journal, in order, on the disk. For programs beside a mail server; imports little."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from tidings.publisher.sources.journal.format import DEFAULT_BYTES, LOST, lines, pending_name

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalWriter:
    """Appends to a journal. Everything here blocks until it is on the disk. Any number of writers share a directory."""

    def __init__(
        self, directory: Path, max_bytes: int = DEFAULT_BYTES, part: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._part = part
        self._clock = clock

    def append(self, events: Iterable[Mapping[str, object]]) -> bool:
        """Keep CloudEvents, of which `subject` names the login. Whether they are kept: not when there is no room.

        What was not kept has to be given to `lost`. Raises OSError when the directory cannot be used, and ValueError
        for an event of more than MAX_LINE_BYTES. After each of these, some of the events may be told all the same.
        """
        data = lines(events)
        if self._size() + len(data) > self._max_bytes:
            return False
        try:
            while not self._appended(data):
                pass
        except OSError as error:
            if error.errno in NO_ROOM:
                return False
            raise
        return True

    def lost(self) -> None:
        """Say that changes were not kept: everybody will be told to look. Raises OSError: then nobody knows yet."""
        descriptor = os.open(self._directory / LOST, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
        os.close(descriptor)
        self._sync_directory()

    def _size(self) -> int:
        """The bytes in the directory, whoever wrote them. A file that goes meanwhile counts nothing."""
        size = 0
        with os.scandir(self._directory) as entries:
            for entry in entries:
                try:
                    size += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
        return size

    def _appended(self, data: bytes) -> bool:
        """Append; whether the file was not claimed meanwhile."""
        hour = time.strftime("%Y%m%d%H", time.gmtime(self._clock()))
        path = self._directory / pending_name(hour, self._part)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o660)
        try:
            before = os.fstat(descriptor)
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, "there is room for a part of the changes only")
            try:
                now = os.stat(path, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
                return False
            os.fdatasync(descriptor)
            if not before.st_size:
                self._sync_directory()
            return True
        finally:
            os.close(descriptor)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
