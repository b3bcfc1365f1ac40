from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.growth import growth
from tidings.wire.mailfile import MAX_FOLDER_DEPTH, may_be_folder, read, with_flags


@pytest.mark.parametrize(
    ("name", "unique", "flags"),
    [
        (b"1.h", b"1.h", ""),
        (b"1.h:2,", b"1.h", ""),
        (b"1.h:2,SF", b"1.h", "FS"),
        (b"1.h:2,SSa\xff", b"1.h", "Sa"),
        (b"1.h:1,S", b"1.h", ""),
        (b"1.h:", b"1.h", ""),
        (b"1.h:2,S,more", b"1.h", "S"),
        # What programs add to the name.
        (b"1.h,S=18", b"1.h", ""),
        (b"1.h,S=18,W=20:2,S", b"1.h", "S"),
        (b"1.h,S=18,U=1:2,S", b"1.h", "S"),
        (b"1.h,U=12,FMD5=7e33429f656f1e6e9d79b29c3f82c57e:2,S", b"1.h", "S"),
        (b"1,h,S=18", b"1,h", ""),
        (b"1.h,x", b"1.h,x", ""),
        (b"1.h,=x", b"1.h,=x", ""),
        (b",S=18", b",S=18", ""),
        # File systems without colons.
        (b"1.h;2,S", b"1.h", "S"),
        (b"1.h!2,FS", b"1.h", "FS"),
        (b"1.h,S=18;2,", b"1.h", ""),
        (b"1.h;2,S.x", b"1.h;2,S.x", ""),
        (b"1.h!3", b"1.h!3", ""),
        # Written twice, by whoever did not know them.
        (b"1.h;2,S:2,F", b"1.h", "F"),
        (b"1.h!2,:2,S", b"1.h", "S"),
        (b"1.h,S=18;2,S;2,F", b"1.h", "F"),
        # Names of nothing else.
        (b":2,S", b":2,S", ""),
        (b";2,S", b";2,S", ""),
        (b"", b"", ""),
    ],
)
def test_a_message_is_known_by_what_no_program_changes(name: bytes, unique: bytes, flags: str) -> None:
    assert read(name) == (unique, flags)


@pytest.mark.parametrize(
    ("name", "flags", "renamed"),
    [
        (b"1.h", "S", b"1.h:2,S"),
        (b"1.h", "", b"1.h:2,"),
        (b"1.h,S=18:2,F", "SFS", b"1.h,S=18:2,FS"),
        (b"1.h;2,F", "FS", b"1.h;2,FS"),
        (b"1.h!2,", "S", b"1.h!2,S"),
        (b"1.h;2,S:2,S", "", b"1.h:2,"),
        (b"1.h:2,F,more", "S", b"1.h:2,S,more"),
    ],
)
def test_flags_are_written_as_the_name_has_them_and_once(name: bytes, flags: str, renamed: bytes) -> None:
    assert with_flags(name, flags) == renamed


@given(st.binary(max_size=255).filter(lambda name: b"/" not in name), st.text("DFPRSTa", max_size=5))
def test_a_message_stays_the_same_whatever_its_flags(name: bytes, flags: str) -> None:
    found = read(name)
    assert name.startswith(found.unique)
    assert bool(found.unique) == bool(name)
    renamed = read(with_flags(name, flags))
    if name not in (b"",) and not name.startswith((b":", b";", b"!")):
        assert renamed.unique == found.unique
        assert renamed.flags == "".join(sorted(set(flags)))


@pytest.mark.parametrize("part", [b",a=1", b";2,S", b":", b"!2,", b","])
def test_the_time_it_takes_grows_no_faster_than_the_name(part: bytes) -> None:
    # Names are 255 bytes at most, of which this is a multiple.
    assert growth(lambda count: partial(read, b"1" + part * count), 30) < 4


@pytest.mark.parametrize(
    ("name", "depth", "may"),
    [
        (b".Work", 1, True),
        (b"Archive", 1, True),
        (b"2024", 2, True),
        (b".git", 2, False),
        (b"cur", 1, False),
        (b"new", 2, False),
        (b"tmp", 3, False),
        (b"deep", MAX_FOLDER_DEPTH, True),
        (b"deeper", MAX_FOLDER_DEPTH + 1, False),
    ],
)
def test_which_directories_may_be_folders(name: bytes, depth: int, may: bool) -> None:
    assert may_be_folder(name, depth) is may
