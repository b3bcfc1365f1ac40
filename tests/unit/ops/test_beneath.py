from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.descriptors import open_files
from tests.support.waiting import patient
from tidings.ops.beneath import Beneath, Name

SECRET = b"a secret of alice"


@pytest.fixture
def mallory(tmp_path: Path) -> Path:
    """What mallory may write to, beside a directory of alice's."""
    for directory in ("alice/cur", "mallory/cur", "mallory/deep/down"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "alice" / "cur" / "1").write_bytes(SECRET)
    return tmp_path / "mallory"


@pytest.fixture
def beneath(mallory: Path) -> Iterator[Beneath]:
    with Beneath.at(mallory) as beneath:
        yield beneath


def content(directory: Beneath, name: Name, size: int) -> bytes:
    with directory.open(name) as file:
        return file.read(size)


def test_what_is_there_is_read_listed_moved_and_removed(beneath: Beneath, mallory: Path) -> None:
    (mallory / "cur" / "x").write_bytes(b"0123456789")
    (mallory / "cur" / "sub").mkdir()
    with beneath.directory("cur") as cur, beneath.directory("deep", b"down") as down:
        assert content(cur, "x", 4) == b"0123"
        assert content(cur, b"x", 40) == b"0123456789"
        assert cur.status("x").st_size == 10
        assert (cur.files(), cur.directories()) == (["x"], ["sub"])
        cur.move("x", down, b"y")
        down.create("z", b"new")
        assert sorted(down.files()) == ["y", "z"]
        down.remove("y")
        assert down.files() == ["z"]
    assert (mallory / "deep" / "down" / "z").read_bytes() == b"new"


def test_a_directory_is_known_by_more_than_its_name(beneath: Beneath, mallory: Path) -> None:
    with beneath.directory("cur") as cur:
        (mallory / "cur").rename(mallory / "old")
        (mallory / "cur").mkdir()
        with beneath.directory("cur") as other, beneath.directory("old") as same:
            assert cur.identity == same.identity != other.identity
            assert Path(os.readlink(os.fsdecode(cur.own_path))) == mallory / "old"


def test_the_way_to_the_directory_may_be_a_link(mallory: Path) -> None:
    mallory.with_name("link").symlink_to(mallory)
    with Beneath.at(mallory.with_name("link")) as beneath:
        assert sorted(beneath.directories()) == ["cur", "deep"]


@pytest.mark.parametrize("path", ["nowhere", "file"])
def test_what_is_no_directory_is_not_opened(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        Beneath.at(tmp_path / path)


Touch = Callable[[Beneath], object]
TOUCHES: list[Touch] = [
    lambda here: here.directory("link"),
    lambda here: here.directory("link", "cur"),
    lambda here: here.directory("deep", "link", "cur"),
    lambda here: content(here, "file", 100),
    lambda here: content(here, "link", 100),
    lambda here: here.create("file", b"x"),
    lambda here: content(here, "../alice/cur/1", 100),
    lambda here: here.directory(".."),
    lambda here: here.directory("deep", "..", ".."),
    lambda here: here.directory("/"),
    lambda here: here.directory(""),
    lambda here: content(here, b"", 100),
    lambda here: content(here, "a\0b", 100),
    lambda here: here.status("../alice"),
    lambda here: here.remove("../alice/cur/1"),
    lambda here: here.move("cur", here, "../alice/x"),
]


@pytest.mark.parametrize("touch", TOUCHES)
def test_nothing_leads_out(beneath: Beneath, mallory: Path, touch: Touch) -> None:
    (mallory / "link").symlink_to("../alice")
    (mallory / "deep" / "link").symlink_to(mallory.with_name("alice"))
    (mallory / "file").symlink_to("../alice/cur/1")
    with pytest.raises((FileNotFoundError, NotADirectoryError, FileExistsError)):
        touch(beneath)
    assert (mallory.with_name("alice") / "cur" / "1").read_bytes() == SECRET


def test_a_second_name_of_a_link_is_a_link(beneath: Beneath, mallory: Path) -> None:
    """A directory can have no hard link, but a link to it can."""
    (mallory / "link").symlink_to("../alice/cur")
    os.link(mallory / "link", mallory / "deep" / "link", follow_symlinks=False)
    with pytest.raises(NotADirectoryError):
        beneath.directory("deep", "link")


def test_links_are_moved_and_removed_themselves(beneath: Beneath, mallory: Path) -> None:
    (mallory / "link").symlink_to("../alice/cur/1")
    beneath.move("link", beneath, "moved")
    assert (mallory / "moved").is_symlink()
    beneath.remove("moved")
    assert (mallory.with_name("alice") / "cur" / "1").exists()


def test_an_open_directory_that_is_exchanged_is_still_the_one_that_was_opened(beneath: Beneath, mallory: Path) -> None:
    (mallory / "cur" / "1").write_bytes(b"mallory's own")
    with beneath.directory("cur") as cur:
        (mallory / "cur").rename(mallory / "old")
        (mallory / "cur").symlink_to("../alice/cur")
        assert content(cur, "1", 100) == b"mallory's own"
        cur.remove("1")
    assert (mallory.with_name("alice") / "cur" / "1").exists()


def test_exchanging_names_all_the_time_leads_nowhere(beneath: Beneath, mallory: Path) -> None:
    (mallory / "cur" / "1").write_bytes(b"mallory's own")
    (mallory / "link").symlink_to("../alice/cur")
    over = threading.Event()
    exchanged = 0

    def exchange() -> None:
        nonlocal exchanged
        while not over.is_set():
            for first, second in (("cur", "own"), ("link", "cur"), ("cur", "link"), ("own", "cur")):
                (mallory / first).rename(mallory / second)
            exchanged += 1

    thread = threading.Thread(target=exchange)
    thread.start()
    read = 0
    try:
        deadline = time.monotonic() + patient(30)
        while (read < 200 or exchanged < 200) and time.monotonic() < deadline:
            with suppress(FileNotFoundError, NotADirectoryError), beneath.directory("cur") as cur:
                assert content(cur, "1", 100) == b"mallory's own"
                read += 1
    finally:
        over.set()
        thread.join()
    assert read >= 200
    assert exchanged >= 200


def _pipe(at: Path) -> None:
    os.mkfifo(at)


def _socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(at))


def _device(at: Path) -> None:
    os.mknod(at, 0o666 | 0o020000, os.makedev(1, 3))


@pytest.mark.parametrize("make", [Path.mkdir, _pipe, _socket, _device], ids=["directory", "pipe", "socket", "device"])
def test_only_a_regular_file_is_read_and_nobody_is_waited_for(
    beneath: Beneath, mallory: Path, make: Callable[[Path], None]
) -> None:
    make(mallory / "odd")
    with pytest.raises(FileNotFoundError):
        content(beneath, "odd", 100)
    assert beneath.files() == []


def test_a_lease_keeps_nobody_waiting(beneath: Beneath, mallory: Path) -> None:
    (mallory / "leased").write_bytes(b"x")
    descriptor = os.open(mallory / "leased", os.O_RDWR)
    # So the kernel asks for a lease back.
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(BlockingIOError):
            content(beneath, "leased", 100)
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)


def test_a_file_that_cannot_be_written_whole_is_not_left(beneath: Beneath, mallory: Path) -> None:
    with pytest.raises(TypeError):
        beneath.create("half", "no bytes")  # type: ignore[arg-type]
    assert beneath.files() == []


def test_nothing_stays_open(beneath: Beneath, mallory: Path) -> None:
    (mallory / "link").symlink_to("../alice")
    (mallory / "x").write_bytes(b"x")
    os.mkfifo(mallory / "pipe")
    before = open_files()
    beneath.directory("deep", "down").close()
    further: list[Touch] = [lambda here: content(here, "pipe", 1), lambda here: here.directory("deep", "nothing")]
    for touch in (*TOUCHES, *further):
        with suppress(OSError):
            touch(beneath)
    content(beneath, "x", 1)
    assert not open_files() - before
