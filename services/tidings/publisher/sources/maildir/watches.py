"""Which directory each inotify watch is on: an event names its watch, which stays with a directory that is renamed."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Final, NamedTuple

from asyncinotify import Inotify, Mask, Watch

from tidings.errors import SettingsError
from tidings.publisher.sources.maildir.diff import MESSAGE_DIRECTORIES, Directory
from tidings.publisher.sources.maildir.tree import GONE as NOT_THERE
from tidings.publisher.sources.maildir.tree import MaildirTree

ENTRIES = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO | Mask.ONLYDIR
GONE = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT | Mask.IGNORED

NO_WATCH_LEFT: Final = "no inotify watch left: raise the sysctl fs.inotify.max_user_watches"


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


class _Watched(NamedTuple):
    watch: Watch
    identity: tuple[int, int]


class Watches:
    """Watches below one root. Added by the thread that looks at directories, read by the one that gets the events."""

    def __init__(self, inotify: Inotify, tree: MaildirTree) -> None:
        self._inotify = inotify
        self._tree = tree
        self._by_directory: dict[Directory, _Watched] = {}
        self._by_number: dict[int, Directory] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __contains__(self, directory: Directory) -> bool:
        return directory in self._by_directory

    def add_root(self) -> None:
        """Watch the root, which tells when it goes. Raises as `add`."""
        self._add((), self._tree.root, ENTRIES | (GONE & ~Mask.IGNORED), (0, 0))

    def add(self, directory: Directory) -> None:
        """Watch a directory, as the tree opens it. Watching one twice changes nothing.

        One that is not there is watched no longer: whoever lists it will find out.

        Raises NoWatchLeftError, and OSError for one that cannot be read.
        """
        mask = ENTRIES
        if directory[-1] in MESSAGE_DIRECTORIES:
            mask |= Mask.CLOSE_WRITE
        try:
            opened = self._tree.open(directory)
        except NOT_THERE:
            self.discard(directory)
            return
        with opened:
            # By a path to what is open: no link set meanwhile can lead elsewhere.
            self._add(directory, opened.own_path, mask, opened.identity)

    def _add(self, directory: Directory, path: bytes, mask: Mask, identity: tuple[int, int]) -> None:
        try:
            watch = self._inotify.add_watch(path, mask)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise NoWatchLeftError(errno.ENOSPC, NO_WATCH_LEFT) from None
            raise
        before = self._by_directory.get(directory)
        self._by_directory[directory] = _Watched(watch, identity)
        self._by_number[watch.wd] = directory
        if before is not None and before.watch.wd != watch.wd:
            self._remove(before.watch, directory)

    def discard(self, directory: Directory) -> None:
        """Stop watching a directory that is gone from its place."""
        watched = self._by_directory.pop(directory, None)
        if watched is not None:
            self._remove(watched.watch, directory)

    def clear(self) -> None:
        for directory in self.directories():
            self.discard(directory)

    def directories(self) -> list[Directory]:
        """What is watched. Those of accounts are their names alone, that of the root is empty."""
        return list(self._by_directory)

    def moved(self, directory: Directory) -> bool:
        """Whether what is at a directory's place now is not what is watched there, or only one of both is."""
        watched = self._by_directory.get(directory)
        return self._tree.identity(directory) != (None if watched is None else watched.identity)

    def directory_of(self, watch: Watch) -> Directory | None:
        """The directory of a watch, or None for one that was given up."""
        return self._by_number.get(watch.wd)

    def ended(self, watch: Watch) -> None:
        """The kernel has removed a watch."""
        directory = self._by_number.pop(watch.wd, None)
        watched = None if directory is None else self._by_directory.get(directory)
        if directory is not None and watched is not None and watched.watch is watch:
            del self._by_directory[directory]

    def _remove(self, watch: Watch, directory: Directory) -> None:
        # Renamed within the tree, the same watch is in use for the new place.
        if self._by_number.get(watch.wd) != directory:
            return
        del self._by_number[watch.wd]
        # Deleted meanwhile, it is gone from the kernel.
        with suppress(OSError):
            self._inotify.rm_watch(watch)
