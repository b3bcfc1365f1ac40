"""One account's Maildir, open: its inbox, which is `{tmp,new,cur}` in its directory, and the folders below.

Other programs deliver, flag and delete at any moment, so a file that was listed may be gone or renamed when it is
opened: then it is a FileNotFoundError. Nothing leads out of the account's directory (see ops.beneath).
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from io import FileIO
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG
from typing import Final, NamedTuple, Self

from tidings.errors import NoSuchMailbox, NoSuchMessage
from tidings.ops.beneath import Beneath
from tidings.wire import mailfile
from tidings.wire.mailfile import may_be_folder

SEEN: Final = "S"
MAX_FOLDERS: Final = 1000
"""Directories that are searched for a message which has left the inbox."""


class File(NamedTuple):
    """A message's file. `unique` tells the message for its whole life, `content` what is in it from what was before.

    `mtime_ns` is when it was written in Unix nanoseconds, `ctime` when it was written or renamed last, in seconds.
    `regular`: it is a file; everything else that has a name among the messages is none of them.
    """

    directory: str
    name: str
    unique: bytes
    flags: str
    content: tuple[int, int, int, int]
    mtime_ns: int
    ctime: float
    regular: bool

    @property
    def unread(self) -> bool:
        """Whether nobody has read it yet."""
        return SEEN not in self.flags


class OpenFile:
    """The bytes of a message, until the end of a `with` block: wherever the file goes, these are the same."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def read(self, start: int, end: int) -> bytes:
        """Those from `start` to `end`; fewer where the file has become shorter. Raises OSError."""
        return os.pread(self._file.fileno(), max(0, end - start), start)


class Folder:
    """A directory with `new` and `cur`, open until the end of a `with` block. Raises OSError where it has not both."""

    def __init__(self, directory: Beneath) -> None:
        with ExitStack() as opened:
            self._directories = {name: opened.enter_context(directory.directory(name)) for name in ("new", "cur")}
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def files(self, prefix: bytes = b"") -> Iterator[File]:
        """What has a name that begins so. A message that moves from new to cur meanwhile is told once."""
        seen: set[bytes] = set()
        for directory, opened in self._directories.items():
            with opened.entries() as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    if name.startswith(b".") or not name.startswith(prefix):
                        continue
                    read = mailfile.read(name)
                    if read.unique in seen:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    file = _file(directory, entry.name, read, status)
                    if file.regular:
                        seen.add(read.unique)
                    yield file

    def open(self, file: File) -> OpenFile:
        """A message's bytes. Raises OSError."""
        return OpenFile(self._directories[file.directory].open(file.name))

    def flag(self, file: File, flags: set[str]) -> None:
        """Give a message these flags, and with them its place in cur. Raises OSError."""
        name = mailfile.with_flags(os.fsencode(file.name), "".join(flags))
        self._directories[file.directory].move(file.name, self._directories["cur"], name)

    def remove(self, file: File) -> None:
        """Remove a message for good. Raises OSError."""
        self._directories[file.directory].remove(file.name)

    def take(self, name: str, tmp: Beneath) -> None:
        """Have a message that is complete in `tmp` delivered. Raises OSError."""
        tmp.move(name, self._directories["new"], name)


class Maildir:
    """Open until the end of a `with` block. Blocking."""

    def __init__(self, path: Path) -> None:
        """Open the Maildir of the account whose directory is at `path`. Raises NoSuchMailbox."""
        with ExitStack() as opened:
            try:
                self._account = opened.enter_context(Beneath.at(path))
                self.inbox = opened.enter_context(Folder(self._account))
            except (OSError, ValueError) as error:
                raise NoSuchMailbox("there is no mailbox with this name") from error
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextmanager
    def find(self, unique: bytes) -> Iterator[tuple[Folder, File]]:
        """A message, and the folder that it is in: moved elsewhere, it is still the same one. Raises NoSuchMessage."""
        with closing(self._folders()) as folders:
            for folder in folders:
                for file in folder.files(unique):
                    if file.unique == unique and file.regular:
                        yield folder, file
                        return
        raise NoSuchMessage("the message is not there any more")

    def deliver(self, message: bytes) -> None:
        """Deliver a message to the inbox: written to tmp, on disk, then moved to new. Raises OSError."""
        name = f"{int(time.time())}.R{token_hex(8)}.{_host()}"
        with self._account.directory("tmp") as tmp:
            tmp.create(name, message)
            self.inbox.take(name, tmp)

    def _folders(self) -> Generator[Folder]:
        """The inbox, then the folders below; each is open until the next one is asked for."""
        yield self.inbox
        waiting: deque[tuple[str, ...]] = deque()
        waiting += ((name,) for name in self._account.directories() if may_be_folder(os.fsencode(name), 1))
        for _ in range(MAX_FOLDERS):
            if not waiting:
                return
            names = waiting.popleft()
            # Gone, or not for us to see: whatever it is, the message is not there.
            with suppress(OSError), self._account.directory(*names) as directory:
                further = directory.directories()
                waiting += ((*names, name) for name in further if may_be_folder(os.fsencode(name), len(names) + 1))
                with Folder(directory) as folder:
                    yield folder


def _file(directory: str, name: str, read: mailfile.MailFile, status: os.stat_result) -> File:
    content = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
    regular = S_ISREG(status.st_mode)
    return File(directory, name, read.unique, read.flags, content, status.st_mtime_ns, status.st_ctime, regular)


def _host() -> str:
    """This machine's name, as it may stand in a unique name."""
    return socket.gethostname().replace("/", "\\057").replace(":", "\\072")
