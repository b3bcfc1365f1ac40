"""HTTP/1.1 of one connection: uvicorn's protocol on llhttp, strict about heads and bounded in what it holds.

Nothing behind a request is parsed before that request is answered, but for what came in one piece with its end: so at
most one request waits for another, however many a client sends at once. What was read and is not parsed is at most
what the loop reads at a time; until it is parsed, nothing more is read.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tidings.errors import RequestRejected
from tidings.ops.http.counted import CountedProtocol
from tidings.ops.http.dates import http_date
from tidings.ops.http.heads import SINGLETONS, check_names, check_version, malformed, read_target
from tidings.ops.http.problem_documents import PROBLEM_TYPE
from tidings.ops.http.problems import problem_response

HEAD_SECONDS: Final = 10.0
"""How long the rest of anything may take to arrive that nobody waits for under a deadline of its own: the head of a
request, and a body that was answered before it had come."""
MAX_HEAD_BYTES: Final = 16 * 1024
"""The target, and the names and values of the head and the trailers; and how much of one line is waited for."""
MAX_FIELDS: Final = 100
RETRY_SECONDS: Final = 1
PROBE_SECONDS: Final = 1.0
"""How often a client that has said all it has to say is asked for, while its answer takes long."""
PROBE: Final = b"HTTP/1.1 102 Processing\r\n\r\n"
_BLANK_LINE: Final = b"\r\n\r\n"
_SINGLETONS: Final = frozenset(name.encode() for name in SINGLETONS)


class _Flow(FlowControl):
    """uvicorn's, where reading goes on only once what was read is parsed."""

    def __init__(self, protocol: QuietProtocol) -> None:
        super().__init__(protocol.transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        """Parse what waits; then read, unless something has to wait again."""
        if self.read_paused:
            self.read_paused = False
            self._protocol.parse_waiting()
            if not self.read_paused:
                self._transport.resume_reading()


class QuietProtocol(CountedProtocol):
    """Serves one connection, and answers what is wrong with it by problem details (RFC 9457)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = self.limit_concurrency
        # uvicorn's own answer is plain text, and counts connections that ask for nothing.
        self.limit_concurrency = None
        self._waiting = bytearray()
        self._head_bytes = 0
        self._fields = 0
        # Of a line whose end is still to come the parser tells nothing, but keeps it.
        self._untold_bytes = 0
        self._fault: RequestRejected | None = None
        self._declining = False
        self._in_body = False
        self._body_left = 0
        self._said_all = False
        self._running: RequestResponseCycle | None = None
        self._refusal: RequestRejected | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._probe: asyncio.TimerHandle | None = None

    # What the loop tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self.flow = _Flow(self)
        self._expect_more()

    def data_received(self, data: bytes) -> None:
        """Parse what may be parsed by now."""
        if not self._take(len(data)):
            self._refuse(RequestRejected(503, "memory", "no memory for this request now: try again", RETRY_SECONDS))
            return
        self._waiting += data
        self.parse_waiting()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whoever has said all it has to say is answered; True while there is something to answer."""
        self._said_all = True
        if self._is_over:
            return False
        if not self._waiting:
            self.cycle.keep_alive = False
        self._probe = self.loop.call_later(PROBE_SECONDS, self._look_for_peer)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        self._probe_no_more()
        self._waiting.clear()
        if self._running is not None:
            self._give_up(self._running)
        super().connection_lost(exc)

    # What the parser tells

    def on_message_begin(self) -> None:
        """A head begins; empty lines before it, which some clients send behind a body, keep nobody here."""
        super().on_message_begin()
        self._head_bytes = self._fields = self._untold_bytes = 0
        self._unset_keepalive_if_required()
        self._expect_more()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. Those behind a chunked body are bounded and dropped (RFC 9110 section 6.5.1)."""
        self._fields += 1
        self._count(len(name) + len(value))
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there. An offer to upgrade ends the parsing here: see `_decline`."""
        self._expect_nothing()
        if self.parser.should_upgrade():
            self._declining = True
            return
        try:
            self._check_head()
        except RequestRejected as error:
            self._fault = error
            raise
        self._in_body = True
        lengths = [value for name, value in self.headers if name == b"content-length"]
        self._body_left = int(lengths[0]) if lengths else 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, which is the application's to bound."""
        self._untold_bytes = 0
        self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._declining:
            return
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete:
            self._expect_nothing()
            self._await_next()

    # What is done about it

    @property
    def _is_over(self) -> bool:
        """Whether nothing is left to answer of a client that has said all it has to say."""
        running = self._running is not None and not self._running.response_complete
        return self._said_all and not self._waiting and not (running and not (self._in_body and not self.pipeline))

    def parse_waiting(self) -> None:
        """Parse as much of what was read as may be parsed by now; while anything waits, nothing is read."""
        while self._waiting and self._may_parse():
            if self._body_left > 0:
                size = min(self._body_left, len(self._waiting))
            else:
                # A head ends here at the latest, and with it what may be parsed.
                at = self._waiting.find(_BLANK_LINE)
                size = len(self._waiting) if at < 0 else at + len(_BLANK_LINE)
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._untold_bytes += size
            self._parse(piece)
            if self._untold_bytes > MAX_HEAD_BYTES and self._fault is None:
                self._refuse(_too_large())
        if self._in_body and self.cycle.response_complete:
            # Nobody keeps what comes behind an answer.
            self._settle()
        if self._waiting:
            self.flow.pause_reading()

    def _may_parse(self) -> bool:
        if self.transport.is_closing() or self._refusal is not None:
            return False
        if self._in_body:
            return not self.pipeline and not self.flow.read_paused
        return self.cycle is None or self.cycle.response_complete

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as offer:
            self._decline(piece[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._fault or malformed("the request is not HTTP/1.1"))

    def _decline(self, behind: bytes) -> None:
        """Read a request again without its offer to upgrade, which is nobody's here (RFC 9110 section 7.8).

        The parser takes everything behind such a head for another protocol, the body included.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(malformed("CONNECT is not supported"))
            return
        fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        line = b"%s %s HTTP/%s\r\n" % (method, self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self._declining = False
        self._waiting[:0] = behind
        self._parse(line + b"".join(fields) + b"\r\n")

    def _check_head(self) -> None:
        major, _, minor = self.parser.get_http_version().partition(".")
        check_version(int(major))
        # Most fields may be given as often as anybody likes.
        check_names([name.decode("ascii") for name, _ in self.headers if name in _SINGLETONS])
        host = next((value.decode("latin-1") for name, value in self.headers if name == b"host"), None)
        method = self.parser.get_method().decode()
        target = read_target(method, self.url.decode("ascii"), host, (int(major), int(minor)))
        self.url = f"{target.path}?{target.query}".encode() if target.query else target.path.encode()
        if target.host is not None and target.host != host:
            named = (b"host", target.host.encode("latin-1"))
            self.headers[:] = [named, *(field for field in self.headers if field[0] != b"host")]

    def _count(self, size: int) -> None:
        self._head_bytes += size
        self._untold_bytes = 0
        if self._head_bytes > MAX_HEAD_BYTES or self._fields > MAX_FIELDS:
            # The parser stops at any error of a callback.
            self._fault = _too_large()
            raise self._fault

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        full = self._most is not None and len(self.tasks) >= self._most
        answer: Any = _overloaded() if full else app
        super()._start_asgi_task(cycle, answer)

    def on_response_complete(self) -> None:
        """Go on with what waited for this answer."""
        self.server_state.total_requests += 1
        self._settle()
        if self.transport.is_closing():
            self._watch_stall()
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._in_body:
            self._expect_more()
        else:
            self._await_next()
        self.flow.resume_reading()
        if self._is_over:
            self.transport.close()

    def _await_next(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _settle(self) -> None:
        """Count no longer what was answered."""
        self._keep(len(self._waiting))

    def _expect_more(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """Tell an application that nobody is there any more."""
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _look_for_peer(self) -> None:
        """Find out whether a client that sent its FIN still reads.

        A FIN ends what the client says, or is all that a client that is gone will ever send: only a write tells, whose
        answer is a RST. A client reads any number of interim responses before the answer (RFC 9110 section 15.2), but
        one of HTTP/1.0 knows none.
        """
        running = self._running
        if running is not None and not running.response_started and running.scope["http_version"] == "1.1":
            self.transport.write(PROBE)
        self._probe = self.loop.call_later(PROBE_SECONDS, self._look_for_peer)

    def _probe_no_more(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def _refuse(self, error: RequestRejected) -> None:
        """Answer what is wrong, after what was asked before it, and end."""
        running = self._running
        if running is not None and not running.response_complete:
            if not self._in_body or self.pipeline:
                # It is about a later request.
                if self._in_body:
                    self.pipeline.clear()
                self._refusal = error
                self._waiting.clear()
                self.flow.pause_reading()
                return
            self._give_up(running)
            if running.response_started:
                self.transport.abort()
                return
        body = bytes(problem_response(error.code, error.detail).body)
        fields = {**error.fields, "Content-Type": PROBLEM_TYPE, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        head = (
            f"HTTP/1.1 {error.code} {HTTPStatus(error.code).phrase}\r\nDate: {http_date()}\r\n{lines}"
            "Connection: close\r\n\r\n"
        )
        self._refusal = error
        self._waiting.clear()
        self.transport.write(head.encode() + (b"" if self.parser.get_method() == b"HEAD" else body))
        self.transport.close()
        self._watch_stall()


def _too_large() -> RequestRejected:
    return RequestRejected(431, "head_too_large", f"the head exceeds {MAX_HEAD_BYTES} bytes or {MAX_FIELDS} fields")


def _overloaded() -> Response:
    return problem_response(503, "too many requests at once: try again", {"Retry-After": str(RETRY_SECONDS)})
