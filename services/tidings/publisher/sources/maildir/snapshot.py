"""What was announced of the Maildirs, in SQLite.

A file that is rewritten as a whole would cost the size of a mailbox for each delivery; SQLite writes the difference.
With WAL and synchronous=NORMAL a crash of the process loses nothing and a loss of power the last commits: the snapshot
is then older than what was announced, never newer, and the difference is announced once more.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from tidings.publisher.database import open_database, transaction
from tidings.publisher.sources.maildir.diff import Finding
from tidings.wire import mailfile

FILE: Final = "maildir.sqlite"
VERSION: Final = 1
_SCHEMA = """
CREATE TABLE snapshot (root BLOB NOT NULL, complete INTEGER NOT NULL);
CREATE TABLE folder (id INTEGER PRIMARY KEY, account TEXT NOT NULL, name BLOB NOT NULL, UNIQUE (account, name));
CREATE TABLE message (
    folder INTEGER NOT NULL REFERENCES folder ON DELETE CASCADE,
    name BLOB NOT NULL,
    flags TEXT NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
"""

_log = structlog.get_logger()


class Snapshot:
    """Belongs to the thread that opened it, and to one process at a time."""

    def __init__(self, directory: Path, root: Path) -> None:
        """Open or create the snapshot of `root` in `directory`.

        A file that SQLite cannot read is put aside and everything announced as new, since what happened in between
        is not known. Raises SettingsError when the directory cannot be used.
        """
        self._root = os.fsencode(root.absolute())
        self._db = open_database(directory / FILE, VERSION, "NORMAL", self._create, self._adapt)

    def _adapt(self, db: sqlite3.Connection) -> None:
        if db.execute("SELECT root FROM snapshot").fetchone() != (self._root,):
            root = os.fsdecode(self._root)
            _log.warning("maildir snapshot is from another directory, a new snapshot begins", root=root)
            db.execute("DELETE FROM folder")
            db.execute("UPDATE snapshot SET root = ?, complete = 0", (self._root,))
        _shorten_names(db)

    def _create(self, db: sqlite3.Connection, damaged: bool) -> None:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        # What happened since the damage is not known: then all mail is announced as new.
        db.execute("INSERT INTO snapshot VALUES (?, ?)", (self._root, damaged))
        if damaged:
            _log.error("maildir snapshot is lost, all mail is announced as new")

    def close(self) -> None:
        """Write everything down and let go of the file."""
        self._db.close()

    @property
    def complete(self) -> bool:
        """Whether every folder was taken in once, so that an unknown one is a new one."""
        return bool(self._db.execute("SELECT complete FROM snapshot").fetchone()[0])

    def finish(self) -> None:
        """Every folder was taken in."""
        self._db.execute("UPDATE snapshot SET complete = 1 WHERE NOT complete")

    def accounts(self) -> list[str]:
        """Every account that has a folder."""
        return [account for (account,) in self._db.execute("SELECT DISTINCT account FROM folder")]

    def folders(self, account: str) -> list[bytes]:
        """The folders of an account."""
        return [name for (name,) in self._db.execute("SELECT name FROM folder WHERE account = ?", (account,))]

    def messages(self, account: str, folder: bytes) -> dict[bytes, str] | None:
        """Unique name -> flags, or None for a folder that is not known."""
        number = self._number(account, folder)
        if number is None:
            return None
        return dict(self._db.execute("SELECT name, flags FROM message WHERE folder = ?", (number,)))

    def known(self, account: str, folder: bytes, names: Iterable[bytes]) -> set[bytes] | None:
        """Those of `names` that are in a folder, or None for a folder that is not known."""
        number = self._number(account, folder)
        if number is None:
            return None
        query = "SELECT 1 FROM message WHERE folder = ? AND name = ?"
        return {name for name in names if self._db.execute(query, (number, name)).fetchone()}

    def elsewhere(self, account: str, name: bytes) -> bool:
        """Whether any folder of the account has a message of this unique name."""
        query = """SELECT 1 FROM folder JOIN message ON message.folder = folder.id
            WHERE folder.account = ? AND message.name = ? LIMIT 1"""
        return self._db.execute(query, (account, name)).fetchone() is not None

    def advance(self, findings: Iterable[Finding]) -> None:
        """Take in what was announced, all or nothing."""
        with transaction(self._db):
            for finding in findings:
                self._take_in(finding)

    def _take_in(self, finding: Finding) -> None:
        key = finding.account, finding.folder
        difference = finding.difference
        if not difference.exists:
            self._db.execute("DELETE FROM folder WHERE account = ? AND name = ?", key)
            return
        self._db.execute("INSERT OR IGNORE INTO folder (account, name) VALUES (?, ?)", key)
        number = self._number(*key)
        self._db.executemany(
            "DELETE FROM message WHERE folder = ? AND name = ?", ((number, n) for n in difference.removed)
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO message VALUES (?, ?, ?)", ((number, n, f) for n, f in difference.stored.items())
        )

    def _number(self, account: str, folder: bytes) -> int | None:
        row = self._db.execute("SELECT id FROM folder WHERE account = ? AND name = ?", (account, folder)).fetchone()
        return None if row is None else row[0]


def _shorten_names(db: sqlite3.Connection) -> None:
    """Have messages known by unique names, where another version has kept more of a file's name.

    The file stays one that such a version can read.
    """
    db.create_function("unique_name", 1, lambda name: mailfile.read(name).unique, deterministic=True)
    longer = "instr(name, x'2c') OR instr(name, x'3b') OR instr(name, x'21')"
    db.execute(
        f"UPDATE OR REPLACE message SET name = unique_name(name) WHERE ({longer}) AND unique_name(name) != name"  # noqa: S608 - constants
    )
