"""Each parser that sees bytes from outside, as a function of bytes, with inputs to begin from.

A target returns for whatever it is given, and raises for a fault: an exception that the parser does not promise, or a
result that contradicts itself. That a parser is slow is a fault too, which the fuzzer finds by its own time limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from aiormq import spec

from tests.support.amqp import delivery, frame, split
from tests.support.connection import wire
from tidings.auth import hs256, keys
from tidings.auth.claims import Claims
from tidings.auth.gatekeeper import TOKEN_COOKIE
from tidings.bus.log import Entry
from tidings.bus.rabbitmq.deliveries import Deliveries
from tidings.bus.rabbitmq.splitting import Splitter
from tidings.errors import (
    BatchError,
    ConnectionFailed,
    CursorError,
    EventError,
    ImapError,
    KeysError,
    NotificationError,
    ReadLost,
    RequestRejected,
)
from tidings.gateway.codecs import cors, eventsource, http1, jmap, poll, websocket
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.limits import address
from tidings.ops.http import credentials
from tidings.publisher.sources.cyrus import notification
from tidings.publisher.sources.cyrus.event import read_event
from tidings.publisher.sources.imap import responses
from tidings.publisher.sources.imap.framing import Framer, Record
from tidings.publisher.sources.imap.view import View
from tidings.publisher.sources.maildir import diff as maildir_diff
from tidings.webmail import html
from tidings.webmail.mail import reading
from tidings.webmail.mail.source import Bytes
from tidings.wire import batch, cloudevents, cursor, resyncs, stalwart
from tidings.wire.change import Change

_BATCH: Final = batch.encode(bytes(16), 0.0, (Change("alice", {"Email": "1"}, "MessageNew", "1", "/s", None, 0.0),))
_EVENT: Final = json.dumps(
    {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "mail.MessageNew",
        "subject": "alice",
        "time": "2026-01-01T00:00:00Z",
        "data": {"changed": {"Email": "1", "Mailbox": None}},
    }
).encode()
_UPGRADE: Final = (
    b"GET /jmap/ws?account=alice HTTP/1.1\r\nHost: mail.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: jmap\r\n"
    b"Cookie: a=b; tidings_token=x.y.z\r\nAuthorization: Bearer x.y.z\r\n\r\n"
)
_MAIL: Final = (
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\r\nTo: alice@example.org\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
    b"Date: Sun, 29 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; charset=gb2312\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=C4=E3\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n"
    b"--c--\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--b\r\n"
    b"Content-Type: application/pdf; name*=utf-8''a%20b.pdf\r\nContent-Disposition: attachment\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
)
_CYRUS_EVENT: Final = (
    b'{"event":"MessageNew","uri":"imap://mail.example/user/al%C3%AFce/Work@a.example;UIDVALIDITY=1/;UID=1","modseq":4,'
    b'"user":"alice","vnd.cmu.mbtype":"e","vnd.fastmail.jmapStates":{"Mailbox":"1","Email":"4","Quota":3}}'
)


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, some inputs that it takes, and how long the longest input may be that is tried."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    longest: int = 4_096


def _request_head(data: bytes) -> None:
    """A head, and everything that is made of one."""
    try:
        request = http1.parse_request(data)
        whole = http1.parse_request(data + b"\r\n\r\n")
    except RequestRejected:
        return
    assert request is None or whole == request, "what follows a head does not change it"
    for made in (request, whole):
        if made is None:
            continue
        cors.response_fields(made.headers)
        cors.preflight_fields(made.headers)
        authorization = made.headers.get("authorization", "")
        assert not (credentials.bearer(authorization) and credentials.basic_password(authorization))
        credentials.cookie(made.headers.get("cookie", ""), TOKEN_COOKIE)
        with suppress(RequestRejected):
            websocket.check_upgrade(made)
            websocket.handshake(made, jmap.SUBPROTOCOL, "Sun, 29 Nov 2026 12:00:00 GMT")
        with suppress(RequestRejected):
            eventsource.read_request(made)
        with suppress(RequestRejected):
            poll.read_request(made)


def _connection(data: bytes) -> None:
    """Requests to a listener of uvicorn's, in one piece and cut at a place that the first byte says."""

    async def answer(*pieces: bytes) -> bytes:
        async with wire() as one:
            for piece in pieces:
                await one.send(piece)
            one.half_close()
            return re.sub(rb"(?i)date: .*", b"", await one.answer())

    at = data[0] if data else 0
    assert asyncio.run(answer(data)) == asyncio.run(answer(data[:at], data[at:])), "where bytes are cut changes nothing"


def _frames(data: bytes) -> None:
    """Frames in one piece, and cut at a place that the first byte says."""
    at = data[0] if data else 0
    outcomes = []
    for pieces in ((data,), (data[:at], data[at:])):
        decoder, heard = Decoder(1_024), []
        try:
            for piece in pieces:
                heard += list(decoder.feed(piece))
        except ConnectionFailed as error:
            heard.append(error.code)  # type: ignore[arg-type]
        outcomes.append(heard)
    assert outcomes[0][-1:] == outcomes[1][-1:], "where bytes are cut does not change what they say"


def _jmap_message(data: bytes) -> None:
    # The frame decoder lets no other text through (RFC 6455 section 8.1).
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    jmap.read_message(data, ("user@mail.example",))


def _cursor(data: bytes) -> None:
    text = data.decode("latin-1")
    try:
        shards, positions = cursor.decode(text)
    except CursorError:
        return
    assert cursor.encode(shards, positions) == text


def _log_entry(data: bytes) -> None:
    with suppress(BatchError):
        batch.decode(data)


def _broker(data: bytes) -> None:
    """What a broker sends to a reader, in one piece and cut at a place that the first byte says."""
    at = data[0] if data else 0
    outcomes = []
    for cuts in ((), (at,)):
        deliveries = Deliveries(1)
        splitter = Splitter({1: deliveries})
        others, end = b"", ""
        try:
            for piece in split(data, cuts):
                others += splitter.feed(piece)
        except ReadLost as error:
            end = str(error)
        else:
            assert len(others) <= len(data)
        assert deliveries.bytes == sum(len(entry.payload) for entry in deliveries.entries) <= len(data)
        outcomes.append((deliveries.take(), deliveries.tag, splitter.astray, end, end or others))
    assert outcomes[0] == outcomes[1], "where bytes are cut changes nothing"


def _ingest(content_type: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with suppress(EventError):
            cloudevents.parse([("content-type", content_type)], data, 0.0)

    return run


def _ingest_headers(data: bytes) -> None:
    """Binary mode: the first lines are header fields, the rest is the body."""
    lines, _, body = data.partition(b"\n\n")
    fields = [line.partition(b":") for line in lines.split(b"\n")]
    with suppress(EventError):
        cloudevents.parse([(name.decode("latin-1"), value.decode("latin-1")) for name, _, value in fields], body, 0.0)


def _resync(data: bytes) -> None:
    with suppress(EventError):
        resyncs.parse([("content-type", "application/json")], data, 0.0)


def _stalwart(data: bytes) -> None:
    with suppress(EventError):
        stalwart.parse(None, (), data, 0.0)
    with suppress(RequestRejected):
        stalwart.parse(b"secret", [("X-Signature", data[:64].decode("latin-1"))], b"{}", 0.0)


def _address(data: bytes) -> None:
    text, trusted = data.decode("latin-1"), [ip_network("127.0.0.0/8")]
    for header in ("x-forwarded-for", "forwarded"):
        client = address.client_address("127.0.0.1", {header: text}, trusted)
        assert client.readable or client.address, "what cannot be read counts for somebody"
    address.counted(text)
    address.is_trusted(text, trusted)


def _token(data: bytes) -> None:
    hs256.payload(data.decode("latin-1"), bytes(32))
    for claims in (Claims(), Claims("https://id.example", "tidings", "email")):
        with suppress(RequestRejected):
            claims.identity(data, {"account": "alice"}, 0.0)


def _key(data: bytes) -> None:
    with suppress(KeysError):
        keys.read_key(data)
    with suppress(KeysError):
        keys.read_key_set(data)


def _mail(data: bytes) -> None:
    source = Bytes(data)
    reading.summary_of(source)
    place = reading.whole(source)
    content = reading.content_of(place)
    for part in content.shown:
        html.document(part.content)
    for attachment in content.attachments:
        attached = reading.attached_mail(place, attachment.part)
        if attached is not None:
            reading.content_of(attached)


def _imap(data: bytes) -> None:
    """What an IMAP server says, in one piece and cut at a place that the first byte says."""
    at = data[0] if data else 0
    heard: list[list[Record]] = []
    for pieces in ((data,), (data[:at], data[at:])):
        framer, records = Framer(), list[Record]()
        with suppress(ImapError):
            for piece in pieces:
                records += framer.feed(piece)
        heard.append(records)
    assert heard[0] == heard[1], "where bytes are cut changes nothing"
    view = View()
    view.begin()
    with suppress(ImapError):
        for record in heard[0]:
            view.take(responses.read(record))
    view.end()


def _notification(data: bytes) -> None:
    """What comes over the notify socket: as a datagram, and as a line in one piece and cut at a place."""
    found = []
    with suppress(NotificationError):
        found.append(notification.read_datagram(data))
    at = data[0] if data else 0
    outcomes = []
    for pieces in ((data,), (data[:at], data[at:])):
        reader = notification.LineReader()
        try:
            read = None
            for piece in pieces:
                read = read or reader.feed(piece)
        except NotificationError:
            read = None
        outcomes.append(read)
    assert outcomes[0] == outcomes[1], "where bytes are cut does not change what they say"
    found += [each for each in outcomes if each is not None]
    for message in (data, *(each.message for each in found)):
        for virtual_domains in (False, True):
            with suppress(NotificationError):
                read_event(message, virtual_domains=virtual_domains)


def _maildir_names(data: bytes) -> None:
    names = [os.fsencode(os.fsdecode(name)) for name in data.split(b"\0") if name and b"/" not in name]
    listing = maildir_diff.listing(names[::2], names[1::2])
    maildir_diff.compare({}, listing)
    for name in names:
        maildir_diff.account_of(name)


TARGETS: Final = {
    "request-head": Target(
        _request_head,
        (
            _UPGRADE,
            b"GET / HTTP/1.1\r\nHost: a\r\nX:  \t \r\n\r\n",
            b'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\nCookie: x={"a"}; tidings_token="b"\r\n\r\n',
        ),
    ),
    "requests": Target(
        _connection,
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nabGET /",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nab\r\n0\r\nTrailer: a\r\n\r\n",
        ),
        1_024,
    ),
    "frames": Target(_frames, (b"\x81\x83\0\0\0\0abc\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8", b"\x01\x80\0\0\0\0")),
    "jmap-message": Target(
        _jmap_message,
        (
            b'{"@type":"WebSocketPushEnable","dataTypes":["Email"],"pushState":"x"}',
            b'{"@type":"Request","id":"1","using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"c"]]}',
        ),
    ),
    "cursor": Target(_cursor, (cursor.encode(64, {3: cursor.Position(5, b"abcd")}).encode(),), 256),
    "log-entry": Target(_log_entry, (_BATCH,)),
    "broker": Target(
        _broker,
        (
            delivery(1, 1, Entry(7, b"payload"), spec.Basic.Properties(headers={"z": [1, {"a": "b"}]}), piece=3),
            delivery(1, 2, Entry(8, b"")) + frame(8, 0, b"") + delivery(2, 1, Entry(0, b"other")),
            b"AMQP\0\0\x09\x01",
        ),
    ),
    "ingest-structured": Target(_ingest(cloudevents.STRUCTURED), (_EVENT,)),
    "ingest-batched": Target(_ingest(cloudevents.BATCHED), (b"[" + _EVENT + b"]",)),
    "ingest-headers": Target(
        _ingest_headers,
        (
            b"ce-specversion:1.0\nce-id:1\nce-source:/s\nce-type:mail.MessageNew\nce-subject:alice\n"
            b"content-type:application/json;charset=utf-8\n\n{}",
        ),
    ),
    "ingest-envelope": Target(
        _ingest(cloudevents.STRUCTURED),
        (
            b'{"specversion":"1.0","id":"1","source":"/s","type":"com.dapr.event.sent","data":{"account":"a",'
            b'"type":"MessageNew","changed":{"Email":"1"}}}',
            b'{"specversion":"1.0","id":"1","source":"/s","type":"io.debezium.x","iodebeziumop":"c","data":{"payload":'
            b'{"after":{"aggregateid":"a","type":"FlagsSet","payload":"{\\"changed\\":{\\"Email\\":null}}"}}}}',
        ),
    ),
    "ingest-resync": Target(_resync, (b'{"accounts":["alice"],"source":"/s"}', b'{"everybody":true}')),
    "ingest-stalwart": Target(
        _stalwart,
        (
            b'{"events":[{"id":"1","createdAt":"2026-01-01T00:00:00Z","type":"message-ingest.ham","data":{"accountId":1'
            b'}},{"type":"server.startup"}]}',
        ),
    ),
    "address": Target(
        _address,
        (
            b"198.51.100.9:443, [2001:db8::1]:443, 127.0.0.2",
            b'for=198.51.100.9;proto=https;by=127.0.0.3, for="[2001:db8::1]:443", for=127.0.0.2',
        ),
        512,
    ),
    "token": Target(
        _token,
        (b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", b'{"sub":"alice","exp":60,"aud":["tidings"],"accounts":["a"]}'),
        1_024,
    ),
    "key": Target(_key, (b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"' + b"A" * 43 + b'","kid":"1"}]}',)),
    "mail": Target(_mail, (_MAIL,), 16_384),
    "imap": Target(
        _imap,
        (
            b'* LIST (\\Subscribed) "/" "a b"\r\n* STATUS {3}\r\na b (MESSAGES 1 UNSEEN 0)\r\n* 1 FETCH (FLAGS ())\r\n',
            b"* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n+ idling\r\n* BYE gone\r\nt1 NO [LIMIT] full\r\n",
        ),
    ),
    "cyrus-notification": Target(
        _notification,
        (
            _CYRUS_EVENT,
            b"external\0EVENT\0\0\0\x000\0" + _CYRUS_EVENT + b"\0",
            b"NOTIFY %(METHOD external CLASS EVENT PRIORITY NIL USER NIL MAILBOX NIL OPTIONS () MESSAGE {"
            + str(len(_CYRUS_EVENT)).encode()
            + b"+}\r\n"
            + _CYRUS_EVENT
            + b" FILEPATH NIL)\r\n",
            b'NOTIFY %(CLASS "EV\\"ENT" OPTIONS (a (b)) MESSAGE ab)\n',
        ),
    ),
    "maildir-names": Target(_maildir_names, (b"1.a:2,S\0.1.a:2,\0002.b,S=3:2,FS\0tmp",), 512),
}
