"""What was told of the accounts of an IMAP server, in SQLite.

As with Maildirs, the state is written after the log has confirmed: it may be older than what was told, never newer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Final

import structlog

from tidings.publisher.database import open_database, transaction
from tidings.publisher.sources.imap.folders import Folder

FILE: Final = "imap.sqlite"
VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE server (url TEXT NOT NULL, lost INTEGER NOT NULL);
CREATE TABLE folder (
    login TEXT NOT NULL, name BLOB NOT NULL,
    uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL,
    modseq INTEGER NOT NULL, subscribed INTEGER NOT NULL,
    PRIMARY KEY (login, name)
) WITHOUT ROWID;
"""

_log = structlog.get_logger()


class State:
    """Belongs to the thread that opened it, and to one process at a time."""

    def __init__(self, directory: Path, url: str) -> None:
        """Open or create the state of the server at `url`.

        Raises SettingsError when the directory cannot be used.
        """
        self._url = url
        self._db = open_database(directory / FILE, VERSION, "NORMAL", self._create, self._adapt)

    def _adapt(self, db: sqlite3.Connection) -> None:
        (known,) = db.execute("SELECT url FROM server").fetchone()
        if known != self._url:
            _log.warning(
                "imap state is from another server, clients of all accounts are asked to resynchronise",
                known=known,
                url=self._url,
            )
            db.execute("DELETE FROM folder")
            db.execute("UPDATE server SET url = ?, lost = 1", (self._url,))

    def _create(self, db: sqlite3.Connection, damaged: bool) -> None:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute("INSERT INTO server VALUES (?, ?)", (self._url, damaged))
        if damaged:
            _log.error("imap state is lost, clients of all accounts are asked to resynchronise")

    def close(self) -> None:
        """Write everything down and let go of the file."""
        self._db.close()

    @property
    def lost(self) -> bool:
        """Whether an account that is not known may have been known once."""
        return bool(self._db.execute("SELECT lost FROM server").fetchone()[0])

    def folders(self, login: str) -> dict[bytes, Folder] | None:
        """What was told of an account; None for one that is not known."""
        query = "SELECT name, uidvalidity, uidnext, messages, unseen, modseq, subscribed FROM folder WHERE login = ?"
        rows = self._db.execute(query, (login,)).fetchall()
        return {name: Folder(*numbers)._replace(subscribed=bool(numbers[-1])) for name, *numbers in rows} or None

    def save(self, login: str, before: Mapping[bytes, Folder], after: Mapping[bytes, Folder]) -> None:
        """What is told of an account now is `after`, all or nothing."""
        gone = before.keys() - after.keys()
        changed = [(login, name, *folder) for name, folder in after.items() if before.get(name) != folder]
        with transaction(self._db):
            self._db.executemany("DELETE FROM folder WHERE login = ? AND name = ?", ((login, name) for name in gone))
            self._db.executemany("INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?, ?, ?, ?)", changed)

    def keep(self, logins: Set[str]) -> None:
        """Forget every other account."""
        known = {login for (login,) in self._db.execute("SELECT DISTINCT login FROM folder")}
        with transaction(self._db):
            self._db.executemany("DELETE FROM folder WHERE login = ?", ((login,) for login in known - logins))
