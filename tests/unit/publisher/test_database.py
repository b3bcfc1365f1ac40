from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidings.errors import SettingsError
from tidings.publisher.database import StateWrites, open_database, transaction


def create(db: sqlite3.Connection, damaged: bool) -> None:
    db.execute("CREATE TABLE note (text TEXT NOT NULL)")
    db.execute("INSERT INTO note VALUES (?)", ("damaged" if damaged else "new",))


def notes(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM note ORDER BY rowid")]


def test_a_file_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "x.sqlite"
    db = open_database(path, 1, "FULL", create)
    with transaction(db):
        db.execute("INSERT INTO note VALUES ('kept')")
    db.close()
    db = open_database(path, 1, "FULL", create)
    assert notes(db) == ["new", "kept"]
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    assert (path.parent.stat().st_mode & 0o777) == 0o700


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    db = open_database(tmp_path / "x.sqlite", 1, "NORMAL", create)
    with pytest.raises(sqlite3.IntegrityError), transaction(db):
        db.executemany("INSERT INTO note VALUES (?)", [("lost",), (None,)])
    assert notes(db) == ["new"]
    db.close()


def test_a_damaged_file_is_kept_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with capture_logs() as lines:
        db = open_database(path, 1, "FULL", create)
    assert notes(db) == ["damaged"]
    db.close()
    (line,) = lines
    assert line["log_level"] == "error"
    assert Path(line["kept_as"]).read_bytes() == b"no database at all" * 100


def test_a_damaged_file_that_cannot_be_put_aside_is_said_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"no database at all" * 100)

    def refuse(source: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(SettingsError, match=r"x\.sqlite is damaged and cannot be put aside: Read-only file system"):
        open_database(path, 1, "FULL", create)
    assert path.read_bytes() == b"no database at all" * 100


async def test_writes_that_fail_are_counted_and_told_once_until_one_is_taken() -> None:
    counted: list[None] = []
    writes = StateWrites("x.sqlite", lambda: counted.append(None))

    async def taken() -> None:
        return None

    async def refused() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with capture_logs() as logs:
        assert [await writes.took(each()) for each in (taken, refused, refused, taken, taken)] == [
            True,
            False,
            False,
            True,
            True,
        ]
    assert [(line["event"], line["file"]) for line in logs] == [
        ("state file cannot be written", "x.sqlite"),
        ("state file can be written again", "x.sqlite"),
    ]
    assert len(counted) == 2


def test_a_second_opener_is_told_who_has_it(tmp_path: Path) -> None:
    db = open_database(tmp_path / "x.sqlite", 1, "FULL", create)
    with pytest.raises(SettingsError, match=r"locked \(another publisher uses it\)"):
        open_database(tmp_path / "x.sqlite", 1, "FULL", create)
    db.close()


def test_another_version_is_left_alone(tmp_path: Path) -> None:
    open_database(tmp_path / "x.sqlite", 2, "FULL", create).close()
    with pytest.raises(SettingsError, match="another version"):
        open_database(tmp_path / "x.sqlite", 1, "FULL", create)


def test_a_file_that_cannot_be_made_to_fit_stays_as_it_was_and_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    open_database(path, 1, "FULL", create).close()

    def adapt(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM note")
        db.execute("INSERT INTO note VALUES (NULL)")

    with pytest.raises(SettingsError, match=r"x\.sqlite: NOT NULL constraint failed"):
        open_database(path, 1, "FULL", create, adapt)
    db = open_database(path, 1, "FULL", create)
    assert notes(db) == ["new"]
    db.close()
