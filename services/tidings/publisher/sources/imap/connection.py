"""One connection to an IMAP server: TLS, commands, and what comes unasked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Final

from tidings.errors import ImapError
from tidings.publisher.sources.imap.address import Address, Protection
from tidings.publisher.sources.imap.framing import Framer, Record
from tidings.publisher.sources.imap.pacing import Allowance
from tidings.publisher.sources.imap.plan import Authentication, holds, redacted
from tidings.publisher.sources.imap.refusals import refusal
from tidings.publisher.sources.imap.responses import (
    Capabilities,
    Condition,
    Continuation,
    Response,
    capabilities,
    read,
)

OPEN_SECONDS: Final = 15.0
"""For the connection, TLS and the greeting."""
COMMAND_SECONDS: Final = 60.0
"""How long a server may say nothing while it answers."""
LONGEST_SECONDS: Final = 600.0
"""How long it may answer."""
CLOSE_SECONDS: Final = 1.0
MAX_QUEUED_BYTES: Final = 128 * 1024
"""What may wait to be read before no more is taken from the kernel."""
RESPONSES_PER_TURN: Final = 32
"""Responses after which other connections have their turn: each takes up to 0.1 ms."""


class _Wire(asyncio.Protocol):
    """The bytes of one connection: responses as they come, no more than somebody reads."""

    def __init__(self) -> None:
        self._framer = Framer()
        self._records: deque[Record] = deque()
        self._came = asyncio.Event()
        self._ended: ImapError | None = None
        self.lost = asyncio.Event()
        self._queued = 0
        self._paused = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's

    def data_received(self, data: bytes) -> None:
        try:
            self._records += self._framer.feed(data)
        except ImapError as error:
            self._end(error)
        self._queued += len(data)
        if self._queued > MAX_QUEUED_BYTES and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._end(ImapError("away", f"the connection was lost: {exc}" if exc else "the server closed the connection"))

    def _end(self, error: ImapError) -> None:
        self._ended = self._ended or error
        self._came.set()
        if self.transport is not None:
            self.transport.abort()

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be read."""
        return not self._records

    async def next(self) -> Record:
        """The next response. Raises ImapError when there will be none."""
        while not self._records:
            if self._ended is not None:
                raise self._ended
            self._came.clear()
            self._queued = 0
            if self._paused and self.transport is not None:
                self._paused = False
                self.transport.resume_reading()
            await self._came.wait()
        return self._records.popleft()


class Connection:
    """Commands one after the other; every response that ends no command goes to `take`."""

    def __init__(self, address: Address, context: ssl.SSLContext, take: Callable[[Response], None]) -> None:
        self._address = address
        self._context = context
        self._take = take
        self._wire = _Wire()
        self._tags = count(1)
        self._allowance = Allowance()
        self._turn = 0
        self._bye: Condition | None = None
        self._secrets: tuple[str, ...] = ()
        self._transport: asyncio.Transport | None = None
        self.capabilities: frozenset[str] = frozenset()

    async def open(self) -> None:
        """Connect, secure the connection and read the greeting. Raises ImapError."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._open()
        except TimeoutError:
            raise ImapError("away", f"no greeting within {OPEN_SECONDS:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise ImapError("away", f"TLS: the certificate is not accepted: {error.verify_message}") from None
        except OSError as error:
            raise ImapError("away", error.strerror or str(error)) from None

    async def _open(self) -> None:
        address, loop = self._address, asyncio.get_running_loop()
        protection = address.protection
        wire = self._wire
        tls = self._context if protection is Protection.TLS else None
        self._transport, _ = await loop.create_connection(lambda: wire, address.host, address.port, ssl=tls)
        greeting = await self._response()
        if not isinstance(greeting, Condition) or greeting.tag is not None or greeting.status not in (b"OK", b"BYE"):
            raise ImapError("protocol", "the server does not greet as an IMAP server that expects a login")
        if protection is Protection.STARTTLS:
            await self._start_tls(self._transport)
        if not self.capabilities:
            await self.command(b"CAPABILITY")

    async def _start_tls(self, plain: asyncio.Transport) -> None:
        await self.command(b"STARTTLS")
        if not self._wire.empty:
            # It may be somebody in between, who wants that taken for what comes through TLS (RFC 9051 section 11.3).
            raise ImapError("protocol", "the server sends data between STARTTLS and TLS")
        self._wire = wire = _Wire()
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(plain, wire, self._context, server_hostname=self._address.host)
        assert transport is not None  # noqa: S101 - only what was closed has none
        wire.connection_made(transport)
        self._transport = transport
        # What was said before TLS is forgotten.
        self.capabilities = frozenset()

    async def log_in(self, how: Authentication) -> None:
        """Raises ImapError: login, limit, or what else is wrong. None of them repeats a secret."""
        before, self.capabilities = self.capabilities, frozenset()
        self._secrets = how.secrets
        answers = [] if how.initial is None else [how.initial]
        condition = await self._command(how.command, "login", answers, how.failed)
        if condition.status != b"OK":
            raise refusal(condition, "login", login=True)
        if not self.capabilities:
            self.capabilities = before
            await self.command(b"CAPABILITY")

    def expect(self, responses: int) -> None:
        """So many responses are the answer to what is asked next: they are no flood."""
        self._allowance.give(responses)

    async def command(self, text: bytes) -> None:
        """Do a command to its end. Raises ImapError, also when the server refuses it."""
        condition = await self.asked(text)
        if condition.status != b"OK":
            raise refusal(condition, _name(text))

    async def asked(self, text: bytes) -> Condition:
        """How a command ended. Raises ImapError when it did not."""
        return await self._command(text, _name(text), [], b"*")

    async def _command(self, text: bytes, name: str, answers: list[bytes], last: bytes) -> Condition:
        tag = self._send(text)
        end = asyncio.get_running_loop().time() + LONGEST_SECONDS
        try:
            async with asyncio.timeout(COMMAND_SECONDS) as silence:
                while True:
                    response = await self._response()
                    # A long answer is no silence.
                    silence.reschedule(min(asyncio.get_running_loop().time() + COMMAND_SECONDS, end))
                    if isinstance(response, Continuation):
                        self._write(answers.pop(0) if answers else last)
                    elif isinstance(response, Condition) and response.tag is not None:
                        return _own(response, tag, name)
        except TimeoutError:
            raise ImapError("away", f"{name}: no answer within {COMMAND_SECONDS:g} s") from None

    async def idle(self) -> bytes:
        """Have the server tell what happens, until `done`. Returns what that needs. Raises ImapError."""
        tag = self._send(b"IDLE")
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                while not isinstance(response := await self._response(), Continuation):
                    if isinstance(response, Condition) and response.tag is not None:
                        raise refusal(response, "IDLE")
        except TimeoutError:
            raise ImapError("away", f"IDLE: no answer within {COMMAND_SECONDS:g} s") from None
        return tag

    async def done(self, tag: bytes) -> None:
        """End an IDLE. Raises ImapError."""
        self._write(b"DONE")
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                while not isinstance(response := await self._response(), Condition) or response.tag is None:
                    pass
        except TimeoutError:
            raise ImapError("away", f"IDLE: no end within {COMMAND_SECONDS:g} s") from None
        if _own(response, tag, "IDLE").status != b"OK":
            raise refusal(response, "IDLE")

    async def heard(self, seconds: float) -> bool:
        """Whether a response came within this time. It has been taken. Raises ImapError."""
        try:
            async with asyncio.timeout(seconds):
                await self._response()
        except TimeoutError:
            return False
        return True

    async def _response(self) -> Response:
        # Before it is taken: whoever gives up here loses nothing.
        self._turn += 1
        if not self._turn % RESPONSES_PER_TURN:
            await asyncio.sleep(0)
        try:
            record = await self._wire.next()
        except ImapError:
            if self._bye is not None:
                raise refusal(self._bye, "closed") from None
            raise
        self._allowance.spend(time.monotonic())
        response = self._read(record)
        match response:
            case Condition(status=b"BYE"):
                self._bye = response
            case Condition(code=code) if code.upper().startswith("CAPABILITY "):
                self.capabilities = capabilities(code.partition(" ")[2])
            case Capabilities(names):
                self.capabilities = names
        self._take(response)
        return response

    def _read(self, record: Record) -> Response:
        """What a response means. Some servers repeat what they do not like, and what they say is logged."""
        try:
            response = read(record)
        except ImapError as error:
            if holds(record, self._secrets):
                detail = "the server repeats a credential in a response that cannot be read"
                raise ImapError(error.reason, detail) from None
            raise
        if isinstance(response, Condition):
            code, text = (redacted(said, self._secrets) for said in (response.code, response.text))
            return replace(response, code=code, text=text)
        return response

    def _send(self, text: bytes) -> bytes:
        tag = b"t%d" % next(self._tags)
        self._write(b"%b %b" % (tag, text))
        return tag

    def _write(self, line: bytes) -> None:
        if self._transport is not None:
            self._transport.write(line + b"\r\n")

    async def close(self) -> None:
        """Say goodbye and close; return when nothing of the connection is left."""
        if self._transport is None:
            return
        if not self._transport.is_closing():
            self._send(b"LOGOUT")
            self._transport.close()
        # Nobody tells of the end of a connection whose TLS handshake has failed.
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._wire.lost.wait()
        self._transport.abort()


def _name(command: bytes) -> str:
    return command.partition(b" ")[0].decode()


def _own(condition: Condition, tag: bytes, name: str) -> Condition:
    """The end of a command, if it is the end of this one."""
    if condition.tag != tag:
        raise ImapError("protocol", f"{name}: answered with another tag")
    return condition
