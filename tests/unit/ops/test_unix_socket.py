from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tidings.errors import SettingsError
from tidings.ops import unix_socket

KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
NOBODY = 65_534
SETTING = "--socket (TIDINGS_SOCKET)"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> socket.SocketKind:
    found: socket.SocketKind = request.param
    return found


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # A relative path fits into an address, however long that of the test's directory is.
    monkeypatch.chdir(tmp_path)
    yield Path("notify")
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def sends(path: Path, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as sender:
        try:
            sender.connect(str(path))
            sender.send(b"x")
        except OSError:
            return False
    return True


def test_a_socket_takes_what_is_sent(path: Path, kind: socket.SocketKind) -> None:
    with closing(unix_socket.bind(path, kind, SETTING)) as sock:
        assert sends(path, kind)
        assert not sock.getblocking()


def test_a_socket_that_a_process_has_left_is_replaced(path: Path, kind: socket.SocketKind) -> None:
    for each in KINDS:
        unix_socket.bind(path, each, SETTING).close()
        assert not sends(path, each)
        with closing(unix_socket.bind(path, kind, SETTING)):
            assert sends(path, kind)


def test_a_socket_that_is_owned_stays(path: Path, kind: socket.SocketKind) -> None:
    for each in KINDS:
        with closing(unix_socket.bind(path, each, SETTING)):
            with pytest.raises(
                SettingsError, match=r"^--socket \(TIDINGS_SOCKET\): another process listens at notify$"
            ):
                unix_socket.bind(path, kind, SETTING)
            assert sends(path, each)


def test_a_socket_whose_queue_is_full_is_owned(path: Path) -> None:
    with closing(unix_socket.bind(path, socket.SOCK_DGRAM, SETTING)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.connect(str(path))
            with suppress(BlockingIOError):
                while sender.send(b"x"):
                    pass
        with pytest.raises(SettingsError, match="another process listens"):
            unix_socket.bind(path, socket.SOCK_DGRAM, SETTING)


def test_a_file_stays(path: Path, kind: socket.SocketKind) -> None:
    path.write_text("mine")
    with pytest.raises(SettingsError, match="notify exists and is not a socket"):
        unix_socket.bind(path, kind, SETTING)
    assert path.read_text() == "mine"


def test_a_directory_has_to_be_there(path: Path, kind: socket.SocketKind) -> None:
    with pytest.raises(SettingsError, match="No such file or directory"):
        unix_socket.bind(path / "notify", kind, SETTING)


def test_a_path_that_no_address_has_room_for_is_refused(path: Path, kind: socket.SocketKind) -> None:
    with pytest.raises(SettingsError, match="longer than 107 bytes, the limit for a Unix socket"):
        unix_socket.bind(path.with_name("n" * 108), kind, SETTING)
    with closing(unix_socket.bind(path.with_name("n" * 107), kind, SETTING)):
        pass


@pytest.mark.parametrize(
    ("directory", "as_open", "expected"),
    [
        (0o755, True, 0o660),
        (0o2750, True, 0o660),
        (0o777, True, 0o662),
        (0o700, True, 0o660),
        (0o777, False, 0o660),
    ],
)
def test_who_may_put_files_there_may_send_where_that_is_wanted(
    path: Path, directory: int, as_open: bool, expected: int
) -> None:
    Path.cwd().chmod(directory)
    before = os.umask(0o077)
    try:
        with closing(unix_socket.bind(path, socket.SOCK_DGRAM, SETTING, as_open_as_directory=as_open)):
            assert stat.S_IMODE(path.lstat().st_mode) == expected
    finally:
        os.umask(before)
        Path.cwd().chmod(0o700)


def test_a_socket_belongs_to_whom_its_directory_belongs_to(path: Path) -> None:
    own = os.geteuid() == 0
    if own:
        os.chown(".", NOBODY, NOBODY)
    with closing(unix_socket.bind(path, socket.SOCK_DGRAM, SETTING)):
        found = path.lstat()
    assert (found.st_uid, found.st_gid) == ((NOBODY, NOBODY) if own else (os.geteuid(), Path.cwd().stat().st_gid))


def test_a_socket_is_removed_by_who_has_put_it_there(path: Path) -> None:
    with closing(unix_socket.bind(path, socket.SOCK_DGRAM, SETTING)):
        inode = path.lstat().st_ino
    with closing(unix_socket.bind(path, socket.SOCK_DGRAM, SETTING)):
        other = path.lstat().st_ino
        unix_socket.remove(path, inode)
        assert path.exists() == (other != inode)
        unix_socket.remove(path, other)
        assert not path.exists()
        unix_socket.remove(path, other)
