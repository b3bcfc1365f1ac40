"""What the kernel tells of a socket, for the reactor, whose descriptors these are (tcp(7), tcp_info)."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Final

from tidings.gateway.limits.address import UNIX_PEER

_RTT: Final = slice(68, 72)
"""Where tcpi_rtt is in `struct tcp_info`, in microseconds."""


def peer(address: object) -> str:
    """The address of a peer, of what accept(2) and getpeername(2) have of it."""
    return str(address[0]) if isinstance(address, tuple) else UNIX_PEER


def queued(fd: int) -> int:
    """The bytes written to it that its peer has not acknowledged (SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def has_unread(fd: int) -> bool:
    """Whether anything came that nobody has read (FIONREAD)."""
    return any(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))


def round_trip(fd: int) -> float:
    """The estimate in seconds of how far away its peer is (TCP_INFO); 0 for a Unix socket."""
    sock = socket.socket(fileno=fd)
    try:
        if sock.family == socket.AF_UNIX:
            return 0.0
        return (
            int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT.stop)[_RTT], sys.byteorder) / 1e6
        )
    finally:
        sock.detach()
