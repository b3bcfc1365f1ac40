"""Pure: what an event in a directory of a Maildir is a reason to look at."""

from __future__ import annotations

from enum import Enum, auto

from tidings.publisher.sources.maildir.agenda import Look
from tidings.publisher.sources.maildir.diff import Directory, is_message_name, scope_of
from tidings.wire import mailfile


class Happened(Enum):
    """What happened to an entry of a directory."""

    CAME = auto()
    WENT = auto()
    WRITTEN = auto()
    """Somebody who had it open to write to it has closed it."""


def look_at(directory: Directory, name: bytes, is_directory: bool, happened: Happened, now: float) -> Look | None:
    """Where to look for what happened at `now` to the entry `name` of `directory`; None where nothing is to be seen."""
    scope = scope_of(directory, name, is_directory)
    if scope is None:
        return None
    if is_directory or not is_message_name(directory, name) or happened is Happened.WENT:
        return Look(scope, now)
    is_new = directory[-1] == b"new"
    if happened is Happened.CAME:
        return Look(scope, now, frozenset([name]) if is_new else None)
    # A delivery that did not pass through tmp/ was told of when it began. What is in cur/ somebody has seen.
    event = "MessageNew" if is_new else "MessageAppend"
    arrivals = frozenset([name] if is_new else [])
    return Look(scope, now, arrivals, frozenset([(mailfile.read(name).unique, event)]))
