from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disk import filled_up, small_disk
from tidings.publisher.sources.journal.directory import JournalDirectory, read_lines
from tidings.publisher.sources.journal.format import MAX_LINE_BYTES
from tidings.publisher.sources.journal.writer import JournalWriter

AN_HOUR = 1_795_930_200.0


def events(*ids: str) -> list[dict[str, object]]:
    return [{"id": each} for each in ids]


def ids(lines: Iterator[bytes] | list[bytes]) -> list[str]:
    return [json.loads(line)["id"] for line in lines if line.strip()]


def test_what_is_appended_is_in_the_file_of_its_hour(tmp_path: Path) -> None:
    now = AN_HOUR
    writer = JournalWriter(tmp_path, part="97", clock=lambda: now)
    assert writer.append(events("1", "2"))
    assert writer.append(events("3"))
    now += 3600
    assert writer.append(events("4"))
    first, second = sorted(tmp_path.iterdir())
    assert [first.name, second.name] == ["2026112905-97.jsonl", "2026112906-97.jsonl"]
    assert ids(first.read_bytes().splitlines()) == ["1", "2", "3"]
    assert ids(second.read_bytes().splitlines()) == ["4"]


def test_what_another_one_left_unfinished_is_a_line_of_its_own(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, clock=lambda: AN_HOUR)
    (tmp_path / "2026112905.jsonl").write_bytes(b'\n{"id":"0"}\n{"id":"tor')
    assert writer.append(events("1"))
    lines = (tmp_path / "2026112905.jsonl").read_bytes().splitlines()
    assert lines == [b"", b'{"id":"0"}', b'{"id":"tor', b'{"id":"1"}']


def test_a_full_journal_takes_nothing(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, max_bytes=60, clock=lambda: AN_HOUR)
    taken = 0
    while writer.append(events(str(taken))):
        taken += 1
    assert taken == 5
    (file,) = tmp_path.iterdir()
    file.rename(tmp_path / "00000001.2026112905.jsonl.claimed")
    assert not writer.append(events("again"))
    (tmp_path / "00000001.2026112905.jsonl.claimed").unlink()
    assert writer.append(events("again"))


def test_a_full_disk_takes_nothing_but_that_something_was_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        writer = JournalWriter(disk, clock=lambda: AN_HOUR)
        assert writer.append(events("1"))
        with filled_up(disk):
            assert not writer.append([{"id": "x" * 5000}])
            writer.lost()
        assert (disk / "lost").exists()
        assert writer.append(events("2"))
        lines = (disk / "2026112905.jsonl").read_bytes().splitlines()
        assert ids([line for line in lines if line.endswith(b"}")]) == ["1", "2"]


def test_an_event_that_fits_no_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer"):
        JournalWriter(tmp_path).append([{"id": "x" * MAX_LINE_BYTES}])
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        writer.append(events("1"))
    with pytest.raises(FileNotFoundError):
        writer.lost()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    journal, elsewhere = tmp_path / "journal", tmp_path / "elsewhere"
    journal.mkdir()
    elsewhere.write_bytes(b"")
    (journal / "2026112905.jsonl").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"):
        JournalWriter(journal, clock=lambda: AN_HOUR).append(events("1"))
    assert elsewhere.read_bytes() == b""


def test_lines_written_while_the_file_is_claimed_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader claims the file between open and write, reads to its end and removes it."""
    reader = JournalDirectory(tmp_path)
    writer = JournalWriter(tmp_path, clock=lambda: AN_HOUR)
    write = os.write
    told: list[str] = []

    def claimed_first(descriptor: int, data: bytes) -> int:
        monkeypatch.undo()
        claimed = reader.claim()
        assert claimed is not None
        told.extend(ids(read_lines(claimed.file)))
        reader.remove(claimed)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", claimed_first)
    assert writer.append(events("1"))
    claimed = reader.claim()
    assert claimed is not None
    assert told == []
    assert ids(read_lines(claimed.file)) == ["1"]
    reader.close()


def test_many_writers_and_a_reader_lose_nothing_and_keep_order(tmp_path: Path) -> None:
    writers, each = 4, 150
    left = threading.Barrier(writers + 1)
    ended = threading.Event()
    told: list[str] = []

    def write(number: int) -> None:
        writer = JournalWriter(tmp_path)
        left.wait()
        for turn in range(each):
            assert writer.append(events(f"{number}-{turn}"))

    def read() -> None:
        reader = JournalDirectory(tmp_path)
        left.wait()
        last = False
        while True:
            claimed = reader.claim()
            if claimed is not None:
                while lines := read_lines(claimed.file):
                    told.extend(ids(lines))
                reader.remove(claimed)
            elif last:
                break
            else:
                last = ended.is_set()
        reader.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    reading = threading.Thread(target=read)
    for thread in (*threads, reading):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    reading.join()
    for number in range(writers):
        turns = [int(each.partition("-")[2]) for each in told if each.startswith(f"{number}-")]
        # What is told twice is told twice in a row: the second time at once after the first.
        assert sorted(set(turns)) == list(range(each))
        assert turns == sorted(turns)
    assert not list(tmp_path.iterdir())
