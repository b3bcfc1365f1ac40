"""What systemd gives a service, and wants to hear of it: sd_listen_fds(3) and sd_notify(3).

Ours, since both are a few lines, and the libraries for them were last released years ago or need a compiler.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from typing import Any, Final

_FIRST_DESCRIPTOR: Final = 3
"""SD_LISTEN_FDS_START."""


@cache
def _handed_over() -> list[socket.socket]:
    """The sockets that systemd has opened for this process, as long as nobody has taken them."""
    count, process = (os.environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID"))
    os.environ.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return []
    given = [socket.socket(fileno=number) for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))]
    for sock in given:
        # Those who are started by us have no use for them.
        sock.set_inheritable(False)
    return given


def take_socket(family: int, address: Any) -> socket.socket | None:
    """The listening socket for this address that systemd has opened; None: it has not. Port 0 takes none.

    The address is as getaddrinfo(3) has it, or the path of a Unix socket.
    """
    wanted = _place(address)
    for sock in _handed_over():
        if sock.family == family and _place(sock.getsockname()) == wanted:
            _handed_over().remove(sock)
            return sock
    return None


def _place(address: Any) -> Any:
    """What tells one address from another: what IPv6 adds to host and port does not."""
    return address if isinstance(address, str) else address[:2]


def not_taken() -> list[str]:
    """The addresses of sockets that systemd has opened, and nobody has taken."""
    return [str(sock.getsockname()) for sock in _handed_over()]


def notify(state: str) -> None:
    """Tell systemd of a state, such as READY=1. Where nobody listens, nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    # A service that serves is worth more than one whose manager knows it. There may be no descriptor free, either.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), path.replace("@", "\0", 1) if path.startswith("@") else path)


def beat() -> None:
    """Tell systemd's watchdog that the main loop runs, where there is one (WatchdogSec=)."""
    if "WATCHDOG_USEC" in os.environ and os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
        notify("WATCHDOG=1")
