from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.support.disk import small_disk
from tidings.errors import SettingsError
from tidings.publisher.spool.file import ENTRY_BYTES, FILE, READ_BYTES, Contents, Entry, SpoolFile


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SpoolFile]:
    file = SpoolFile(tmp_path, 4)
    file.open()
    yield file
    file.close()


def entry(number: int, shard: int = 0, batch: bytes = b"batch") -> Entry:
    return Entry(number, shard, 1000.0 + number, 2, batch)


def test_entries_come_back_by_shard_in_order(file: SpoolFile) -> None:
    file.write([entry(3), entry(1), entry(2, shard=1)], [])
    file.write([entry(4)], [])
    assert file.read(0) == [entry(1), entry(3), entry(4)]
    assert file.read(1) == [entry(2, shard=1)]
    assert file.read(2) == []


def test_the_oldest_is_told_with_every_write(file: SpoolFile) -> None:
    assert file.write([entry(1), entry(2)], []) == 1001.0
    assert file.write([], [1]) == 1002.0
    assert file.write([], [2]) is None


def test_a_read_is_bounded(file: SpoolFile) -> None:
    large = bytes(READ_BYTES // 4)
    file.write([entry(number, batch=large) for number in range(1, 9)], [])
    assert [each.id for each in file.read(0)] == [1, 2, 3, 4]


def test_another_opening_counts_what_is_there(file: SpoolFile, tmp_path: Path) -> None:
    file.write([entry(1), entry(5, shard=3), entry(6)], [])
    file.write([], [6])
    file.close()
    again = SpoolFile(tmp_path, 4)
    contents = again.open()
    again.close()
    assert contents.entries == {0: 1, 3: 1}
    assert (contents.changes, contents.last_id) == (4, 5)
    assert contents.bytes == entry(1).size * 2 == 2 * (5 + ENTRY_BYTES)


def test_another_number_of_shards_is_refused_while_it_holds_something(file: SpoolFile, tmp_path: Path) -> None:
    file.write([entry(1)], [])
    file.close()
    with pytest.raises(SettingsError, match="--shards 4"):
        SpoolFile(tmp_path, 8).open()
    file.open()
    file.write([], [1])
    file.close()
    eight = SpoolFile(tmp_path, 8)
    eight.open()
    eight.close()
    eight.open()
    eight.close()


def test_a_write_that_fails_stores_nothing_and_asks_for_another_opening(file: SpoolFile) -> None:
    file.write([entry(1)], [])
    with pytest.raises(sqlite3.IntegrityError):
        file.write([entry(2), entry(1)], [1])
    for anything in (lambda: file.write([entry(3)], []), lambda: file.read(0), file.probe):
        with pytest.raises(sqlite3.OperationalError, match="not open"):
            anything()
    assert file.open().entries == {0: 1}
    file.probe()


def test_what_is_marked_is_gone(file: SpoolFile, tmp_path: Path) -> None:
    file.write([entry(1), entry(2, shard=1), entry(3), entry(4)], [])
    file.mark(0, 3)
    assert file.read(0) == [entry(4)]
    file.close()
    with closing(SpoolFile(tmp_path, 4)) as again:
        assert again.open() == Contents({0: 1, 1: 1}, 4, 2 * entry(1).size, 4)


def test_no_id_comes_again_that_a_mark_would_hide(file: SpoolFile) -> None:
    file.write([entry(7)], [])
    file.mark(0, 7)
    file.close()
    assert file.open() == Contents({}, 0, 0, 7)


def test_a_spool_that_fills_its_disk_has_room_again_once_the_log_has_it_all(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk:
        file = SpoolFile(disk, 4)
        file.open()
        number = 0
        with suppress(sqlite3.OperationalError):
            while True:
                number += 1
                file.write([entry(number, shard=number % 2, batch=bytes(1000))], [])
        # Nothing can be removed, but all that is there can be read, and marked.
        contents = file.open()
        assert contents.entries.keys() == {0, 1}
        with pytest.raises(sqlite3.OperationalError, match="full"):
            file.probe()
        for shard in (0, 1):
            file.mark(shard, file.read(shard)[-1].id)
        assert file.open().entries == {}
        file.probe()
        file.write([entry(number + 1)], [])
        assert file.read(0) == [entry(number + 1)]
        file.close()


def test_one_publisher_at_a_time(file: SpoolFile, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="another publisher"):
        SpoolFile(tmp_path, 4).open()


def test_a_damaged_file_is_put_aside(file: SpoolFile, tmp_path: Path) -> None:
    file.write([entry(number, batch=bytes(1000)) for number in range(1, 200)], [])
    file.close()
    pages = bytearray((tmp_path / FILE).read_bytes())
    pages[4096 * 3 : 4096 * 9] = b"\xff" * (4096 * 6)
    (tmp_path / FILE).write_bytes(pages)
    assert file.open().entries == {}
    (aside,) = tmp_path.glob("spool.damaged-*")
    assert aside.read_bytes() == bytes(pages)
