"""Ports of this machine that nobody else is given."""

from __future__ import annotations

import random
import socket

PORTS = (10_000, 32_768)
"""None that the kernel gives to outgoing connections: one would take the port of a node that is down for a while."""

NO_BROWSERS = 10_080
"""The one of them that browsers connect to under no circumstances (Fetch standard, "port blocking")."""

_reserved: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on, all different, reserved until this process ends.

    A socket stays bound to each port and never listens. No other process is given the port meanwhile, since binding a
    port without SO_REUSEADDR fails where anything is bound. With SO_REUSEADDR, which every server sets, listening
    beside a socket that only is bound works.
    """
    found: list[socket.socket] = []
    while len(found) < count:
        sock = socket.socket()
        try:
            sock.bind(("127.0.0.1", _drawn()))
        except OSError:
            sock.close()
        else:
            # Only now: set before, it would let two processes bind the same port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.append(sock)
    _reserved.extend(found)
    return [sock.getsockname()[1] for sock in found]


def _drawn() -> int:
    port = random.randrange(*PORTS)
    return _drawn() if port == NO_BROWSERS else port


def serves(port: int) -> bool:
    """Whether a server listens at this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
