"""A listening Unix socket: which path, and who may send to it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidings.errors import SettingsError

_OWNER_AND_GROUP: Final = 0o660
MAX_PATH_BYTES: Final = 107
"""The room that an address has (unix(7))."""
BACKLOG: Final = 4_096


def bind(path: Path, kind: socket.SocketKind, setting: str, *, as_open_as_directory: bool = False) -> socket.socket:
    """A socket of a kind at a path, in place of what a process that is gone has left there. A stream socket listens.

    It belongs to whom its directory belongs to, owner and group, as far as this process may give it away; nobody else
    may send to it. `as_open_as_directory`: others may too, if they could put a socket of their own there.

    Raises SettingsError, which names the `setting` that the path is from.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise SettingsError(f"{setting}: {path} is longer than {MAX_PATH_BYTES} bytes, the limit for a Unix socket")
    try:
        _look_for_another(path, kind, setting)
        return _bound(path, kind, stat.S_IWOTH if as_open_as_directory else 0)
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: {error.strerror or error}") from None


def remove(path: Path, inode: int) -> None:
    """Remove the socket, unless another process has put its own there."""
    with suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _look_for_another(path: Path, kind: socket.SocketKind, setting: str) -> None:
    """Refuse to take the path from a process that listens there, or what is no socket from its owner."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"{setting}: {path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, kind) as asking:
        asking.setblocking(False)
        try:
            asking.connect(os.fsencode(path))
        except ConnectionRefusedError:
            return
        except OSError as error:
            # A full queue, or a socket of another kind, is somebody's too.
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise
    raise SettingsError(f"{setting}: another process listens at {path}")


def _bound(path: Path, kind: socket.SocketKind, open_to: int) -> socket.socket:
    directory = path.parent.stat()
    made = socket.socket(socket.AF_UNIX, kind)
    # Under another name first: who finds the socket may send to it.
    making = path.with_name(f".{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            making.unlink()
        made.bind(os.fsencode(making))
        making.chmod(_OWNER_AND_GROUP | directory.st_mode & open_to)
        with suppress(PermissionError):
            os.chown(making, -1, directory.st_gid)
        with suppress(PermissionError):
            os.chown(making, directory.st_uid, -1)
        if kind is socket.SOCK_STREAM:
            made.listen(BACKLOG)
        made.setblocking(False)
        making.rename(path)
    except BaseException:
        made.close()
        raise
    return made
