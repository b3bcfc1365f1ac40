from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disk import filled_up, small_disk
from tidings.publisher.spool.marks import FILE, Marks


def test_a_mark_is_there_for_the_next_run(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 4)
    assert marks.read() == {}
    marks.write(2, 2**63)
    marks.write(0, 7)
    marks.write(2, 2**63 + 1)
    assert Marks(tmp_path, 4).read() == {0: 7, 2: 2**63 + 1}


def test_a_mark_that_is_not_whole_is_none(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 2)
    marks.read()
    marks.write(0, 7)
    marks.write(1, 9)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[7] ^= 1
    (tmp_path / FILE).write_bytes(content)
    assert marks.read() == {1: 9}


def test_more_shards_find_the_marks_there_are(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 2)
    marks.read()
    marks.write(1, 9)
    more = Marks(tmp_path, 8)
    assert more.read() == {1: 9}
    more.write(7, 3)
    assert more.read() == {1: 9, 7: 3}


def test_a_disk_that_is_full_takes_marks(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        marks = Marks(disk, 64)
        marks.read()
        with filled_up(disk):
            for shard in range(64):
                marks.write(shard, shard + 1)
        assert len(marks.read()) == 64


def test_a_file_that_cannot_be_made_or_read_has_no_marks(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk, filled_up(disk):
        marks = Marks(disk, 4)
        assert marks.read() == {}
    (tmp_path / FILE).mkdir()
    marks = Marks(tmp_path, 4)
    assert marks.read() == {}
    with pytest.raises(OSError, match="directory"):
        marks.write(0, 1)
