"""Sockets that systemd has opened, as a process finds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_GIVEN = """
import os, socket, sys
from tidings.ops import systemd
from tidings.ops.http.serving import bind_public
host, wanted = sys.argv[1:]
family, address = (socket.AF_UNIX, host[5:]) if host.startswith("unix:") else (socket.AF_INET, (host, 0))
opened = socket.socket(family)
opened.bind(address)
opened.listen()
port = 0 if family == socket.AF_UNIX else opened.getsockname()[1]
os.dup2(opened.fileno(), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
taken = bind_public(wanted, port)
print(taken.fileno() == 3, len(systemd.not_taken()))
"""


@pytest.mark.parametrize(
    ("host", "wanted", "taken"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("unix:gateway", "unix:gateway", True),
        # The same as far as a host and a port are compared.
        ("unix:gateway", "unix:gather", False),
    ],
)
def test_the_socket_of_its_own_address_is_taken(tmp_path: Path, host: str, wanted: str, taken: bool) -> None:
    command = [sys.executable, "-c", _GIVEN, host, wanted]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said == f"{taken} {0 if taken else 1}\n"


_BEATS = """
import os, resource, socket
from tidings.ops import systemd
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("manager")
os.environ.update(NOTIFY_SOCKET=os.path.abspath("manager"), WATCHDOG_USEC="1")
free = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (manager.fileno() + 1, free[1]))
systemd.beat()
resource.setrlimit(resource.RLIMIT_NOFILE, free)
systemd.beat()
print(manager.recv(100).decode())
"""


def test_a_beat_is_missed_where_no_descriptor_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _BEATS]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said == "WATCHDOG=1\n"
