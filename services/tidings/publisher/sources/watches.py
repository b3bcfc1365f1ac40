"""Which directory each inotify watch is on: an event names its watch, which stays with a directory that is renamed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Final

from asyncinotify import Inotify, Mask, Watch

from tidings.errors import SettingsError

ENTRIES = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO | Mask.ONLYDIR
GONE = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT | Mask.IGNORED

NO_WATCH_LEFT: Final = "no inotify watch left: raise the sysctl fs.inotify.max_user_watches"

Directory = tuple[bytes, ...]
"""A directory as the parts of its path below the root."""


def new_inotify() -> Inotify:
    """An inotify instance. Raises SettingsError when the kernel allows no further one."""
    try:
        return Inotify()
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise SettingsError("no inotify instance left: raise the sysctl fs.inotify.max_user_instances") from None
        raise


class NoWatchLeftError(OSError):
    """The kernel's limit on watches is reached."""


class Watches:
    """Watches below one root. Added by the thread that looks at directories, read by the one that gets the events."""

    def __init__(self, inotify: Inotify, root: bytes) -> None:
        self._inotify = inotify
        self._root = root
        self._by_directory: dict[Directory, Watch] = {}
        self._by_number: dict[int, Directory] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, directory: Directory) -> None:
        """Watch a directory. Watching one twice costs a system call and changes nothing.

        A directory that is not there is left alone: whoever lists it will find out.

        Raises NoWatchLeftError, and OSError for one that cannot be read.
        """
        mask = ENTRIES | (GONE & ~Mask.IGNORED if not directory else Mask.ZERO)
        if len(directory) > 1:
            mask |= Mask.DONT_FOLLOW
        try:
            watch = self._inotify.add_watch(os.path.join(self._root, *directory), mask)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise NoWatchLeftError(errno.ENOSPC, NO_WATCH_LEFT) from None
            raise
        before = self._by_directory.get(directory)
        self._by_directory[directory] = watch
        self._by_number[watch.wd] = directory
        if before is not None and before.wd != watch.wd:
            self._remove(before, directory)

    def discard(self, directory: Directory) -> None:
        """Stop watching a directory that is gone from its place."""
        watch = self._by_directory.pop(directory, None)
        if watch is not None:
            self._remove(watch, directory)

    def clear(self) -> None:
        """Stop watching everything."""
        for directory in list(self._by_directory):
            self.discard(directory)

    def directory_of(self, watch: Watch) -> Directory | None:
        """The directory of a watch, or None for one that was given up."""
        return self._by_number.get(watch.wd)

    def ended(self, watch: Watch) -> None:
        """The kernel has removed a watch."""
        directory = self._by_number.pop(watch.wd, None)
        if directory is not None and self._by_directory.get(directory) is watch:
            del self._by_directory[directory]

    def _remove(self, watch: Watch, directory: Directory) -> None:
        # Renamed within the tree, the same watch is in use for the new place.
        if self._by_number.get(watch.wd) != directory:
            return
        del self._by_number[watch.wd]
        # Deleted meanwhile, it is gone from the kernel.
        with suppress(OSError):
            self._inotify.rm_watch(watch)
