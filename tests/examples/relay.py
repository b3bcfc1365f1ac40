"""A proxy in front of a publisher that notes what goes through, and can fail as networks and proxies do."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from tests.support.waiting import patient

SECONDS = 30.0
RETRY_AFTER_SECONDS = 2


class Failure(Enum):
    """What happens to a request in place of an answer."""

    HELD = auto()  # taken by the publisher; nobody says so until the sender hangs up
    LOST = auto()  # taken by the publisher; the connection ends without an answer
    BUSY = auto()  # not taken: 503 with Retry-After


@dataclass(frozen=True)
class Request:
    id: str
    at: float


class Relay(ThreadingHTTPServer):
    """Forwards to the publisher at `upstream`. The first requests of each source meet `failures`, in turn.

    `requests` has those that came, by source; `holding` is how many answers are held.
    """

    daemon_threads = True

    def __init__(self, upstream: str, failures: Sequence[Failure]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = upstream
        self.failures = failures
        self.requests: defaultdict[str, list[Request]] = defaultdict(list)
        self.holding = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Relay
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = json.loads(body) if "ce-id" not in self.headers else {}
        source = self.headers.get("ce-source") or event["source"]
        with self.server.lock:
            seen = self.server.requests[source]
            failure = self.server.failures[len(seen)] if len(seen) < len(self.server.failures) else None
            seen.append(Request(self.headers.get("ce-id") or event["id"], time.monotonic()))
        if failure is Failure.BUSY:
            self._answer(503, b"busy", {"Retry-After": str(RETRY_AFTER_SECONDS)})
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        answer = httpx2.post(self.server.upstream + self.path, content=body, headers=headers, timeout=patient(SECONDS))
        if failure is Failure.HELD:
            with self.server.lock:
                self.server.holding += 1
            self.connection.settimeout(patient(SECONDS))
            self.rfile.read(1)
        if failure is None:
            self._answer(answer.status_code, answer.content, dict(answer.headers))
        self.close_connection |= failure is not None

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name in ("Content-Type", "Retry-After"):
            if value := headers.get(name) or headers.get(name.lower()):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has in the base class
        """The tests look at `requests`."""


@contextmanager
def relay(upstream: str, *failures: Failure) -> Iterator[Relay]:
    with Relay(upstream, failures) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
