"""The spool on disk: batches that wait for the log, in SQLite.

WAL with synchronous=FULL: a commit has reached the disk when it returns, at the price of one fsync. What the log has
confirmed and the disk does not let go of is marked (marks.py): it is not there any more, for whoever asks. Everything
here blocks and belongs to one thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from tidings.errors import SettingsError
from tidings.publisher.database import open_database, transaction
from tidings.publisher.spool.marks import Marks

FILE: Final = "spool.sqlite"
VERSION: Final = 1
READ_BYTES: Final = 1024 * 1024
"""As much as is read at once, and one batch more."""
ENTRY_BYTES: Final = 64
"""What an entry takes on disk beside its batch, about."""
WAL_BYTES: Final = 64 * 1024 * 1024
"""What SQLite's own log shrinks to when it is done with."""
PROBE_BYTES: Final = 64 * 1024
"""What has to be written before the file is believed to take an entry."""
_SCHEMA: Final = (
    "CREATE TABLE layout (shards INTEGER NOT NULL, probed REAL NOT NULL)",
    """CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        shard INTEGER NOT NULL,
        stored REAL NOT NULL,
        changes INTEGER NOT NULL,
        batch BLOB NOT NULL
    )""",
    "CREATE INDEX entry_of_shard ON entry (shard, id)",
)

_log = structlog.get_logger()


class Entry(NamedTuple):
    """A batch that waits, encoded. `id` rises in the order of storing and never comes again; `stored` is Unix time."""

    id: int
    shard: int
    stored: float
    changes: int
    batch: bytes

    @property
    def size(self) -> int:
        """What it counts against the bound, in bytes."""
        return len(self.batch) + ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Contents:
    """What the file holds: entries by shard, changes and bytes altogether, and the greatest id."""

    entries: dict[int, int]
    changes: int
    bytes: int
    last_id: int


class Hidden(NamedTuple):
    """What was there and is marked now: entries, changes and bytes."""

    entries: int
    changes: int
    bytes: int


class SpoolFile:
    """One file in the state directory."""

    def __init__(self, directory: Path, shards: int) -> None:
        self._path = directory / FILE
        self._shards = shards
        self._marks = Marks(directory, shards)
        self._marked: dict[int, int] = {}
        self._db: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a file, of this run or an earlier one."""
        return self._path.exists()

    def open(self) -> Contents:
        """Open or create the file and count what it holds.

        Raises SettingsError when the file cannot be used, or holds changes for another number of shards.
        """
        if self._db is None:
            self._db = open_database(self._path, VERSION, "FULL", self._create)
        try:
            self._db.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
            self._marked = self._marks.read()
            removed = self._remove_marked(self._db)
            contents = self._count(self._db)
            if not removed and not contents.entries:
                self._db = self._begin_anew(self._db)
            self._keep_layout(self._db, bool(contents.entries))
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SettingsError(f"{self._path} cannot be used: {error}") from error
        except SettingsError:
            self.close()
            raise
        return contents

    def _remove_marked(self, db: sqlite3.Connection) -> bool:
        """Whether nothing that is marked is left: on a disk that is still full it stays a while longer."""
        try:
            with transaction(db):
                db.executemany("DELETE FROM entry WHERE shard = ? AND id <= ?", self._marked.items())
        except sqlite3.Error:
            return False
        return True

    def _begin_anew(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """Another file for one that holds nothing any more: it may be what fills the disk."""
        with suppress(sqlite3.Error):
            db.close()
        for path in (Path(f"{self._path}-wal"), self._path):
            path.unlink(missing_ok=True)
        return open_database(self._path, VERSION, "FULL", self._create)

    def _count(self, db: sqlite3.Connection) -> Contents:
        counted = "SELECT count(*), sum(changes), sum(length(batch)), max(id) FROM entry WHERE shard = ? AND id > ?"
        rows: dict[int, tuple[int, int, int, int]] = {}
        for (shard,) in db.execute("SELECT DISTINCT shard FROM entry").fetchall():
            row = db.execute(counted, (shard, self._marked.get(shard, 0))).fetchone()
            if row[0]:
                rows[shard] = row
        return Contents(
            {shard: row[0] for shard, row in rows.items()},
            sum(row[1] for row in rows.values()),
            sum(row[2] + row[0] * ENTRY_BYTES for row in rows.values()),
            # Above every mark, too: what is at or below one would not be there.
            max([*(row[3] for row in rows.values()), *self._marked.values()], default=0),
        )

    def _create(self, db: sqlite3.Connection, damaged: bool) -> None:
        for statement in _SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO layout VALUES (?, ?)", (self._shards, time.time()))
        if damaged:
            _log.error("changes in the damaged spool are not delivered", file=str(self._path))

    def _keep_layout(self, db: sqlite3.Connection, holds_entries: bool) -> None:
        (shards,) = db.execute("SELECT shards FROM layout").fetchone()
        if shards == self._shards:
            return
        if holds_entries:
            raise SettingsError(
                f"{self._path} holds changes for {shards} shards: "
                f"start with --shards {shards} until it is empty, or move it away"
            )
        with transaction(db):
            db.execute("UPDATE layout SET shards = ?", (self._shards,))

    def write(self, stored: Iterable[Entry], discarded: Iterable[int]) -> float | None:
        """Store entries and discard others, on disk when this returns; when the oldest that is left was stored.

        Raises sqlite3.Error: then nothing was stored, and `open` has to be called before anything else.
        """
        db = self._opened()
        try:
            with transaction(db):
                db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", stored)
                db.executemany("DELETE FROM entry WHERE id = ?", ((each,) for each in discarded))
            oldest = db.execute("SELECT stored FROM entry ORDER BY id LIMIT 1").fetchone()
        except sqlite3.Error:
            # Whether a commit that failed is on disk, only a look at the file can tell.
            self.close()
            raise
        return None if oldest is None else float(oldest[0])

    def read(self, shard: int) -> list[Entry]:
        """The oldest entries of a shard, in order. Raises sqlite3.Error, as `write`."""
        db = self._opened()
        entries: list[Entry] = []
        size = 0
        query = "SELECT * FROM entry WHERE shard = ? AND id > ? ORDER BY id"
        try:
            for row in db.execute(query, (shard, self._marked.get(shard, 0))):
                entries.append(Entry(*row))
                size += entries[-1].size
                if size >= READ_BYTES:
                    break
        except sqlite3.Error:
            self.close()
            raise
        return entries

    def mark(self, shard: int, last_id: int) -> Hidden | None:
        """Have the entries of a shard up to this one gone, on disk when this returns, though nothing can be removed.

        Their room comes back with another `open`. None where only that can tell what was there. Raises OSError.
        """
        before = self._marked.get(shard, 0)
        self._marks.write(shard, last_id)
        self._marked[shard] = last_id
        if self._db is None:
            return None
        query = (
            "SELECT count(*), total(changes), total(length(batch)) FROM entry WHERE shard = ? AND id > ? AND id <= ?"
        )
        try:
            entries, changes, size = self._db.execute(query, (shard, before, last_id)).fetchone()
        except sqlite3.Error:
            self.close()
            return None
        return Hidden(entries, int(changes), int(size) + entries * ENTRY_BYTES)

    def probe(self) -> None:
        """Write as much as an entry may be. Raises sqlite3.Error: what is in the file can still be read."""
        db = self._opened()
        for probed in (bytes(PROBE_BYTES), time.time()):
            with transaction(db):
                db.execute("UPDATE layout SET probed = ?", (probed,))

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the spool is not open")
        return self._db

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
