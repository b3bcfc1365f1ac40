"""`tidings cyrus-notify` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import Tidings, tidings
from tests.support.waiting import comes_true, patient, promised

EVENT = b'{"event":"MessageNew","uri":"imap://vm/user/alice%40a.example;UIDVALIDITY=1/;UID=1","modseq":4}'
DELIVERIES = 100
BLOCKED_SECONDS = 1.0
"""It takes less than a millisecond to send, and at most 25 to be woken."""


class Place:
    """Where a socket and a journal are: short paths."""

    def __init__(self, directory: str, kind: str) -> None:
        self.kind = kind
        self.socket = Path(directory, "notify")
        self.journal = Path(directory, "state", "journal")
        name = f"dlist:{self.socket}" if kind == "dlist" else str(self.socket)
        self.flags = ("--socket", name, "--journal-dir", str(self.journal))

    def send(self, message: bytes = EVENT, notifies: bytes = b"EVENT") -> None:
        """Send a notification as Cyrus does, and wait as Cyrus does."""
        if self.kind == "datagram":
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(patient(60))
                sender.sendto(b"external\0%b\0\0\0\x000\0%b\0" % (notifies, message), str(self.socket))
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
            sender.settimeout(patient(60))
            sender.connect(str(self.socket))
            sender.sendall(b"NOTIFY %%(CLASS %b MESSAGE {%d+}\r\n%b)\r\n" % (notifies, len(message), message))
            assert sender.recv(100) == b"OK ()\r\n"

    def kept(self) -> list[str]:
        """The accounts that changed, by the journal."""
        files = sorted(self.journal.glob("*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines() if line]
        return [json.loads(line)["subject"] for line in lines]

    def says_lost(self) -> bool:
        return (self.journal / "lost").exists()


@pytest.fixture(params=["datagram", "dlist"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="tidings-") as directory:
        yield Place(directory, request.param)


@contextmanager
def notify(place: Place, *flags: str) -> Iterator[Tidings]:
    with tidings("cyrus-notify", *place.flags, *flags) as running:
        yield running


def test_what_is_sent_is_kept_and_at_the_beginning_everybody_is_to_look(place: Place) -> None:
    with notify(place) as running:
        assert place.says_lost()
        (place.journal / "lost").unlink()
        place.send()
        assert comes_true(lambda: place.kept() == ["alice@a.example"], 10.0)
        assert running.stop() == 0
    assert not place.says_lost()
    assert not place.socket.exists()


def test_domains_are_part_of_names_only_where_it_is_said(place: Place) -> None:
    work = EVENT.replace(b"alice%40a.example", b"alice/Work@a.example")
    for flags, account in (((), "alice"), (("--virtual-domains",), "alice@a.example")):
        with notify(place, *flags):
            before = len(place.kept())
            place.send(work)
            assert comes_true(lambda: place.kept()[before:] == [account], 10.0)  # noqa: B023 - called at once


def test_who_sends_waits_for_no_process_that_is_stopped(place: Place) -> None:
    with notify(place) as running:
        took: list[float] = []
        for number in range(DELIVERIES):
            if number % 20 == 0:
                os.kill(running.pid, signal.SIGSTOP)
            began = time.monotonic()
            place.send()
            took.append(time.monotonic() - began)
        # The process was stopped five times: one wait is a hiccup of the machine.
        assert sorted(took)[-2] < promised(BLOCKED_SECONDS)
        assert running.stop() == 0
    assert place.kept()


def test_after_the_hard_way_another_one_takes_over(place: Place) -> None:
    with notify(place) as running:
        running.kill()
    assert place.socket.exists()
    with pytest.raises(ConnectionRefusedError):
        place.send()
    (place.journal / "lost").unlink()
    with notify(place):
        assert place.says_lost()
        place.send()
        assert comes_true(place.kept, 10.0)


def test_there_is_one_owner_of_a_socket(place: Place) -> None:
    with notify(place) as running:
        second = run(*place.flags)
        assert second.returncode == 2
        assert second.stderr == (
            f"tidings cyrus-notify: --socket (TIDINGS_SOCKET): another process listens at {place.socket}\n"
        )
        place.send()
        assert comes_true(place.kept, 10.0)
        # Only who has put the socket there removes it.
        place.socket.unlink()
        place.socket.write_text("")
        assert running.stop() == 0
    assert place.socket.exists()


def test_other_notifications_are_named_in_the_log(place: Place) -> None:
    with notify(place) as running:
        place.send(b"New mail", b"MAIL")
        running.wait(lambda: running.events("notifications that are not events were ignored"))
        place.send(b"{")
        running.wait(lambda: running.events("notifications were lost, all clients will be asked to resynchronise"))
    assert place.kept() == []


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidings", "cyrus-notify", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=patient(60))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--socket", "dlist:"), "--socket (TIDINGS_SOCKET): must be a path, or dlist: and a path"),
        (("--socket", "/no/such/notify"), "--socket (TIDINGS_SOCKET): /no/such/notify: No such file or directory"),
        (
            ("--socket", "notify", "--journal-dir", "/dev/null/journal"),
            "--journal-dir (TIDINGS_JOURNAL_DIR): /dev/null/journal: Not a directory",
        ),
    ],
)
def test_what_the_operator_has_to_change_is_said(
    flags: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*flags)
    assert (done.returncode, done.stderr) == (2, f"tidings cyrus-notify: {said}\n")
    assert list(tmp_path.iterdir()) == []


HEAVY = {"fastapi", "starlette", "uvicorn", "uvloop", "aio_pika", "prometheus_client", "httpx2", "cryptography"}


def test_the_process_has_what_it_needs_and_no_more() -> None:
    code = (
        "import sys; from tidings.commands.table import COMMANDS; entry = COMMANDS['cyrus-notify'];"
        "entry.load_settings(); entry.load(); print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
