"""SQLite files in the state directory: one process owns each, and what cannot be read is put aside."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import structlog

from tidings.errors import SettingsError
from tidings.ops.outage import Outage

LOCK_SECONDS: Final = 1.0
"""How long another process may take to let go of a file."""
UNUSABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

Create = Callable[[sqlite3.Connection, bool], None]
"""Makes the tables of a new file; told whether it takes the place of one that was put aside."""
Adapt = Callable[[sqlite3.Connection], None]
"""Makes what a file holds fit this run, in one transaction with `Create`."""

_log = structlog.get_logger()


def open_database(
    path: Path,
    version: int,
    synchronous: Literal["NORMAL", "FULL"],
    create: Create,
    adapt: Adapt = lambda db: None,
) -> sqlite3.Connection:
    """Open or create the file, for this process alone; the connection belongs to the calling thread.

    A file that SQLite finds damaged is put aside, with an error in the log, and a new one takes its place. Raises
    SettingsError when the directory or the file cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"--state-dir {path.parent}: {error.strerror}") from None
    try:
        try:
            return _open(path, version, synchronous, lambda db: create(db, False), adapt)
        except sqlite3.DatabaseError as error:
            if primary_code(error) not in UNUSABLE:
                raise
            aside = _put_aside(path)
            _log.error("state file is damaged, put aside", file=str(path), kept_as=str(aside), error=str(error))
            return _open(path, version, synchronous, lambda db: create(db, True), adapt)
    except OSError as error:
        raise SettingsError(
            f"--state-dir {path.parent}: {path.name} is damaged and cannot be put aside: {error.strerror}"
        ) from None
    except sqlite3.Error as error:
        used = " (another publisher uses it)" if primary_code(error) == sqlite3.SQLITE_BUSY else ""
        raise SettingsError(f"--state-dir {path.parent} cannot be used: {path.name}: {error}{used}") from None


class StateWrites:
    """Writes of what was announced, without which announcing goes on: it is announced again after the next start.

    `count` is called for each write that failed.
    """

    def __init__(self, file: str, count: Callable[[], object]) -> None:
        self._file = file
        self._count = count
        self._outage = Outage()

    async def took(self, write: Awaitable[None]) -> bool:
        """Whether the file took it. If not, the log says so: when that begins, once a minute, and when it ends."""
        try:
            await write
        except sqlite3.Error as error:
            self._count()
            if (told := self._outage.failed(time.monotonic())) is not None:
                _log.error("state file cannot be written", file=self._file, error=str(error), seconds=told.seconds)
            return False
        if (told := self._outage.mended(time.monotonic())) is not None:
            _log.info("state file can be written again", file=self._file, seconds=told.seconds)
        return True


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its extension; 0 for an error of the Python module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _open(path: Path, version: int, synchronous: str, create: Adapt, adapt: Adapt) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        # Exclusive: two publishers on the same state would both announce, and both drain, all of it.
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        _check(db)
        _prepare(db, path, version, create, adapt)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _prepare(db: sqlite3.Connection, path: Path, version: int, create: Adapt, adapt: Adapt) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found not in (0, version):
        raise SettingsError(f"{path} was written by another version of Tidings")
    with transaction(db):
        if not found:
            create(db)
            db.execute(f"PRAGMA user_version={version}")
        adapt(db)


def _put_aside(path: Path) -> Path:
    """Rename the file, and with it its log, which would be replayed into the new one."""
    aside = path.with_suffix(time.strftime(".damaged-%Y%m%dT%H%M%SZ", time.gmtime()))
    path.replace(aside)
    with suppress(FileNotFoundError):
        Path(f"{path}-wal").replace(f"{aside}-wal")
    return aside


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Some errors have rolled back already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
