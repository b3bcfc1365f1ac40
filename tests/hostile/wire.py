"""Bytes as an attacker sends them, and as little of a client as reads the answers. Blocking sockets, no library."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Self

from tests.support.frames import masked
from tests.support.waiting import patient

SECRET = "0123456789abcdef0123456789abcdef"
INGEST_TOKEN = "an-ingest-token-of-tests"
SECONDS = 30.0


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(subject: str, accounts: Sequence[str] = ()) -> str:
    """A token of one user, good for an hour."""
    claims = {"sub": subject, "exp": int(time.time()) + 3600} | ({"accounts": list(accounts)} if accounts else {})
    signed = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{_base64(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def head(path: str, bearer: str | None = None, *, upgrade: bool = False) -> bytes:
    """The head of a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    if upgrade:
        lines += [
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Protocol: jmap",
        ]
    if bearer is not None:
        lines.append(f"Authorization: Bearer {bearer}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def enable(types: Sequence[str] | None, since: str | None = None) -> bytes:
    """The frame that subscribes."""
    asked: dict[str, object] = {"@type": "WebSocketPushEnable", "dataTypes": types}
    if since is not None:
        asked["pushState"] = since
    return masked(1, json.dumps(asked, separators=(",", ":")).encode())


def connect(port: int) -> socket.socket:
    """A connection to one of the ports."""
    sock = socket.create_connection(("127.0.0.1", port), patient(SECONDS))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Socket:
    """A WebSocket, upgraded."""

    def __init__(self, port: int, bearer: str) -> None:
        self.sock = connect(port)
        self._read = bytearray()
        self.sock.sendall(head("/jmap/ws", bearer, upgrade=True))
        while b"\r\n\r\n" not in self._read:
            self._more()
        answer, _, rest = bytes(self._read).partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(answer.decode("latin-1"))
        self._read = bytearray(rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def _more(self) -> None:
        received = self.sock.recv(65_536)
        if not received:
            raise ConnectionError("closed")
        self._read += received

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken

    def subscribe(self, types: Sequence[str] | None, since: str | None = None) -> dict[str, Any]:
        """Subscribe; the first StateChange."""
        self.sock.sendall(enable(types, since))
        return self.message()

    def message(self) -> dict[str, Any]:
        """The next text; pings are answered. Raises ConnectionError when the connection is closed."""
        while True:
            first, size = self._take(2)
            if size == 126:
                size = int.from_bytes(self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(self._take(8), "big")
            payload = self._take(size)
            match first & 0x0F:
                case 9:
                    self.sock.sendall(masked(10, payload))
                case 8:
                    raise ConnectionError(f"close code {int.from_bytes(payload[:2], 'big')}")
                case 1:
                    message = json.loads(payload)
                    assert isinstance(message, dict)
                    return message


def event(account: str, changed: Mapping[str, str | None], number: int = 0) -> dict[str, object]:
    """A change as a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/hostile",
        "type": "mail.FlagsSet",
        "subject": account,
        "data": {"changed": dict(changed)},
    }


def publish(port: int, events: Sequence[Mapping[str, object]]) -> int:
    """Send events; the status of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=patient(SECONDS))) as connection:
        fields = {"Content-Type": "application/cloudevents-batch+json", "Authorization": f"Bearer {INGEST_TOKEN}"}
        connection.request("POST", "/v1/changes", json.dumps(events, separators=(",", ":")), fields)
        return connection.getresponse().status


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=patient(SECONDS))) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def metric(port: int, name: str, label: str = "") -> float:
    """The sum of a metric's samples whose labels hold this text."""
    total = 0.0
    for line in get(port, "/metrics")[1].splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name and label in sample:
            total += float(value)
    return total


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, in seconds, to the nanosecond."""
    # The clock of another process (CPUCLOCK_SCHED, as clock_getcpuclockid(3) makes it), for which Python has no name.
    return time.clock_gettime(~pid << 3 | 2)
