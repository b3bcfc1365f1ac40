"""The listening sockets of the public port, from which those of clients have their options.

SO_SNDBUF is inherited. Without it megabytes wait in the kernel for a client that does not read, and it reads stale
states first. A Unix socket inherits nothing, and has no options of TCP: what waits in the kernel for the proxy at its
other end is bounded by net.core.wmem_default, 208 KiB as installed.
"""

from __future__ import annotations

import socket
from typing import Final

from tidings.ops.http.loopback import unix_path
from tidings.ops.http.serving import bind_public, port_of

SEND_BUFFER_BYTES: Final = 16 * 1024
BACKLOG: Final = 4096
WRITE_SECONDS: Final = 30.0
"""How long a write may wait for a client that takes nothing."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket whose accepted sockets have no Nagle delay, a small send buffer and a deadline for writes.

    The deadline of the kernel is that of a write it has taken: without it, a client that is gone without a FIN, and
    answers no pings because it speaks none, would be there for a quarter of an hour.

    Raises SettingsError when the address cannot be had.
    """
    return _prepared(bind_public(host, port, shared=shared))


def _prepared(listener: socket.socket) -> socket.socket:
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
    listener.setblocking(False)
    listener.listen(BACKLOG)
    return listener


def listen_shared(host: str, port: int, count: int) -> list[socket.socket]:
    """As many listening sockets on one address: the kernel spreads connections over them, but those of a Unix socket.

    Raises SettingsError when the address cannot be had.
    """
    if port or unix_path(host) is not None:
        only = bind_public(host, port)
        if only.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # A Unix socket cannot be shared. One that systemd has opened is kept, so that a restart refuses nobody.
            # All accept from this one.
            _prepared(only)
            return [only, *(only.dup() for _ in range(count - 1))]
        # Sharing would let a second gateway take half of the first one's clients, and tell nobody.
        only.close()
    first = listen(host, port, shared=True)
    port = port_of(first)
    return [first, *(listen(host, port, shared=True) for _ in range(count - 1))]
