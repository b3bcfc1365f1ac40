"""The listening sockets of the public port, from which those of clients have their options.

SO_SNDBUF is inherited. Without it megabytes wait in the kernel for a client that does not read, and it reads stale
states first.
"""

from __future__ import annotations

import socket
from typing import Final

from tidings.gateway.parked import WRITE_SECONDS
from tidings.ops.listener import bind

SEND_BUFFER_BYTES: Final = 16 * 1024
BACKLOG: Final = 4096


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket whose accepted sockets have no Nagle delay, a small send buffer and a deadline for writes.

    The deadline of the kernel is that of a write it has taken: without it, a client that is gone without a FIN, and
    answers no pings because it speaks none, would be there for a quarter of an hour.

    Raises SettingsError when the address cannot be had.
    """
    listener = bind(host, port, shared=shared)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_SECONDS * 1000))
    listener.setblocking(False)
    listener.listen(BACKLOG)
    return listener


def listen_shared(host: str, port: int, count: int) -> list[socket.socket]:
    """As many listening sockets on one address: the kernel spreads connections over them.

    Raises SettingsError when the address cannot be had.
    """
    if port:
        # Sharing would let a second gateway take half of the first one's clients, and tell nobody.
        bind(host, port).close()
    first = listen(host, port, shared=True)
    port = first.getsockname()[1]
    return [first, *(listen(host, port, shared=True) for _ in range(count - 1))]
