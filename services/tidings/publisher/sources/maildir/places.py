"""Directories that no event may have told about: another one can have taken their place."""

from __future__ import annotations

from collections.abc import Iterable

from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.diff import Directory, account_of, place_of
from tidings.publisher.sources.maildir.tree import MaildirTree, mounts
from tidings.publisher.sources.maildir.watches import Watches


class Places:
    """Compares what is in its place with what is watched. Belongs to the thread that looks at directories."""

    def __init__(self, tree: MaildirTree, watches: Watches) -> None:
        self._tree = tree
        self._watches = watches
        self._mounts = mounts()

    def doubtful(self) -> list[Directory]:
        """The directories to ask for now. Raises OSError when the root cannot be read.

        Those of accounts, which may be links whose targets are replaced or appear. Below them no link is followed and
        every directory's parent is watched, so only a mount exchanges one: all are asked for once something was
        mounted or unmounted since the last time.
        """
        before, self._mounts = self._mounts, mounts()
        watched = [directory for directory in self._watches.directories() if directory]
        if before == self._mounts:
            watched = [directory for directory in watched if len(directory) == 1]
        there = ((name,) for name in self._tree.directories() if account_of(name) is not None)
        return list(dict.fromkeys([*there, *watched]))

    def replaced(self, directories: Iterable[Directory]) -> list[Look]:
        """What to look at, since another one of these directories is in its place than the one that is watched."""
        scopes = dict.fromkeys(place_of(each) for each in directories if self._watches.moved(each))
        return [Look(scope) for scope in scopes if scope is not None]
