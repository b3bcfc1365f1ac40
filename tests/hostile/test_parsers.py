"""Whatever reads bytes from outside takes time that is linear in them: twice the input, about twice the CPU time.

Each parser is listed with the inputs that are hard for one of its kind. Expressions are in test_expressions.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from typing import Final

import msgspec
import pytest

from asyncio_pprof.pprof import text
from tests.support.growth import growth
from tidings.auth import hs256
from tidings.auth.claims import Claims
from tidings.auth.gatekeeper import Gatekeeper, NoAuthentication
from tidings.errors import TidingsError
from tidings.gateway.codecs import cors, eventsource, http1, jmap, jmap_requests, jmap_session, poll, websocket
from tidings.gateway.codecs.frames import Decoder
from tidings.gateway.codecs.http1 import Request
from tidings.gateway.limits.address import client_address
from tidings.ops.http.heads import read_target
from tidings.publisher.ingest.access import IngestAccess
from tidings.publisher.sources.imap import responses
from tidings.publisher.sources.imap.framing import Framer
from tidings.webmail import html
from tidings.wire import batch, cloudevents, cursor, mailevent

MOST: Final = 3.0
SIZE: Final = 20_000
"""More than a head may have, so that what is quadratic shows."""

GATEKEEPER: Final = Gatekeeper(NoAuthentication(), allow_origins=(), loopback_hosts_only=True)
INGEST: Final = IngestAccess(["token"], loopback_hosts_only=True)
SECRET: Final = b"x" * 32
GET: Final = b"GET /jmap/ws HTTP/1.1\r\nHost: a\r\n"
CHUNKED: Final = GET + b"Transfer-Encoding: chunked\r\n\r\n"
NEW: Final = {"specversion": "1.0", "id": "1", "source": "/x", "type": "mail.MessageNew", "subject": "alice"}


def request(query: str = "", **fields: str) -> Request:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return Request("GET", "/", {"types": query, "since": query, "wait": query, "ping": query}, headers, (1, 1), 0)


def parse(head: bytes) -> None:
    http1.parse_request(head, len(head) + 1)


def parse_by_the_byte(head: bytes) -> None:
    gathered = bytearray()
    for byte in head:
        gathered.append(byte)
        http1.parse_request(gathered, 10**9, len(gathered) - 1)


def upgrade(name: str, value: str) -> None:
    fields = {
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": "A" * 22 + "==",
    }
    websocket.check_upgrade(request(**{**fields, name: value}))


def admit(name: str, value: str) -> None:
    headers = {"host": "127.0.0.1", name: value}
    GATEKEEPER.admit("GET", headers, {"account": "alice"}, upgrade=False)


def forwarded(name: str, value: str) -> None:
    client_address("10.0.0.1", {name: value}, [ip_network("0.0.0.0/0")])


def preflight(asked: str) -> None:
    cors.preflight_fields({"access-control-request-headers": asked})


def frames(data: bytes) -> None:
    list(Decoder(10**9).feed(data))


def ingest(body: bytes, content_type: str = cloudevents.STRUCTURED, **headers: str) -> None:
    fields = [("Content-Type", content_type), *((name.replace("_", "-"), value) for name, value in headers.items())]
    cloudevents.parse(fields, body, 0.0)


def framed(said: bytes) -> None:
    list(Framer().feed(said))


def framed_by_the_byte(said: bytes) -> None:
    framer = Framer()
    for byte in said:
        list(framer.feed(bytes([byte])))


def verify(payload: str) -> None:
    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(b'{"alg":"HS256"}') + b"." + part(payload.encode())
    said = hs256.payload((signed + b"." + part(hmac.digest(SECRET, signed, "sha256"))).decode(), SECRET)
    assert said is not None
    Claims().identity(said, {}, 0.0)


def session(**members: object) -> None:
    """A JMAP server's, put in front."""
    given = {"capabilities": {}, "accounts": {"a": {}}, "primaryAccounts": {}, "apiUrl": "/jmap/", **members}
    found = jmap_session.read_session(msgspec.json.encode(given), "/jmap/")
    jmap_session.fronted(found, "https://mail.example", "https://mail.example/g/3", "token", None)


def log_entry(changes: object) -> None:
    batch.decode(msgspec.msgpack.encode([1, b"i" * 16, 0.0, changes]))


Parser = Callable[[int], Callable[[], object]]
"""Makes an input of this size; gives what parses it."""

HEADS: Final[dict[str, Parser]] = {
    "blanks in a field": lambda n: partial(parse, GET + b"X:" + b" " * n + b"\x01\r\n\r\n"),
    "blanks around a field": lambda n: partial(parse, GET + b"X:" + b" \t" * n + b"\r\n\r\n"),
    "words in a field": lambda n: partial(parse, GET + b"X: " + b"a " * n + b"\x00\r\n\r\n"),
    "a name": lambda n: partial(parse, GET + b"A" * n + b"\r\n\r\n"),
    "bare CR": lambda n: partial(parse, GET + b"X: " + b"\r" * n + b"\r\n\r\n"),
    "bare LF": lambda n: partial(parse, GET + b"\n" * n + b"\r\n\r\n"),
    "a target": lambda n: partial(parse, b"GET /" + b"a" * n + b"#" + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a query": lambda n: partial(parse, b"GET /?" + b"%41" * n + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a query of fields": lambda n: partial(parse, b"GET /?" + b"a=&" * n + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a path": lambda n: partial(read_target, "GET", "/" + "%41" * n + "%", "a", (1, 1)),
    "an authority": lambda n: partial(read_target, "GET", "http://" + "a" * n + "@/", "a", (1, 1)),
    "a Host": lambda n: partial(read_target, "GET", "/", "a" + ":" * n, (1, 1)),
    "empty lines": lambda n: partial(parse, b"\r\n" * n),
    "zeros of a chunk": lambda n: partial(parse, CHUNKED + b"0" * n),
    "an extension of a chunk": lambda n: partial(parse, CHUNKED + b"0;" + b"\r" * n),
    "a byte at a time": lambda n: partial(parse_by_the_byte, GET + b"X: " + b"a" * n),
    "a line at a time": lambda n: partial(parse_by_the_byte, GET + b"A: b\r\n" * (n // 8)),
}
FIELDS: Final[dict[str, Parser]] = {
    "extensions": lambda n: partial(upgrade, "sec_websocket_extensions", 'a;b="' + "a" * n),
    "blanks of extensions": lambda n: partial(upgrade, "sec_websocket_extensions", "a" + "; " * n),
    "parameters of extensions": lambda n: partial(upgrade, "sec_websocket_extensions", "a" + ";b=c" * n + '"'),
    "subprotocols": lambda n: partial(upgrade, "sec_websocket_protocol", "a, " * n + "@"),
    "a key": lambda n: partial(upgrade, "sec_websocket_key", "A" * n),
    "a list of upgrades": lambda n: partial(upgrade, "upgrade", " ,\t" * n),
    "a cookie": lambda n: partial(admit, "cookie", "tidings_token=" + "a=" * n),
    "cookies": lambda n: partial(admit, "cookie", "a=b; " * n + "tidings_token=x"),
    "a quoted cookie": lambda n: partial(admit, "cookie", 'tidings_token="' + "\\" * n),
    "an authorization": lambda n: partial(admit, "authorization", "Bearer" + " " * n + "x"),
    "an origin": lambda n: partial(admit, "origin", "http://" + "a:" * n),
    "a Basic authorization": lambda n: partial(INGEST.admit, {"authorization": "Basic " + "A" * n}),
    "an entity tag": lambda n: partial(poll.read_request, request(if_none_match=' "' + "a" * n)),
    "entity tags": lambda n: partial(poll.read_request, request(if_none_match='"a"' + ' ,"a"' * n)),
    "blanks of a tag": lambda n: partial(poll.read_request, request(if_none_match='"a"' + " " * n + "x")),
    "data types": lambda n: partial(jmap.read_types, "a," * n),
    "a data type": lambda n: partial(jmap.read_types, "a" * n + "!"),
    "a number": lambda n: partial(eventsource.read_request, request("1" * n)),
    "forwarded addresses": lambda n: partial(forwarded, "x-forwarded-for", "1.2.3.4, " * n),
    "forwarded pairs": lambda n: partial(forwarded, "forwarded", "for=1.2.3.4, " * n),
    "a forwarded pair": lambda n: partial(forwarded, "forwarded", 'for="' + "\\" * n),
    "forwarded pairs that are none": lambda n: partial(forwarded, "forwarded", 'a="' * n),
    "blanks between forwarded pairs": lambda n: partial(forwarded, "forwarded", "for=1.2.3.4" + " " * n + "x"),
    "headers of a preflight": lambda n: partial(preflight, "a," * n),
    "a header of a preflight": lambda n: partial(preflight, "x-forwarded-" + "a" * n),
    "a cursor": lambda n: partial(cursor.decode, "A" * n),
    "addresses of symbols": lambda n: partial(text.symbols, "0x0+" * n, lambda _: None),
}
BODIES: Final[dict[str, Parser]] = {
    "frames": lambda n: partial(frames, b"\x82\x80abcd" * n),
    "fragments": lambda n: partial(frames, b"\x01\x80abcd" + b"\x00\x81abcda" * n),
    "a long frame": lambda n: partial(frames, b"\x82\xff" + n.to_bytes(8, "big") + b"abcd" + b"x" * n),
    "a text": lambda n: partial(frames, b"\x81\xff" + n.to_bytes(8, "big") + b"\0\0\0\0" + "é".encode() * (n // 2)),
    "a message of members": lambda n: partial(jmap.read_message, b'{"a":1' + b',"a":1' * n + b"}", ()),
    "a message of brackets": lambda n: partial(jmap.read_message, b"[" * n, ()),
    "a message of digits": lambda n: partial(jmap.read_message, b'{"id":0.' + b"1" * n + b"}", ()),
    "a message of calls": lambda n: partial(
        jmap.read_message,
        b'{"@type":"Request","using":[],"methodCalls":[' + b'["a",{},"c"],' * n + b'["a",{},"c"]]}',
        (),
    ),
    "a message of types": lambda n: partial(
        jmap.read_message, b'{"@type":"WebSocketPushEnable","dataTypes":[' + b'"a",' * n + b'"a"]}', ()
    ),
    "a message that is passed on": lambda n: partial(
        jmap.read_message, b'{"@type":"Request","id":"R"' + b',"a":1' * n + b"}", (), proxied=True
    ),
    "an answer of an API": lambda n: partial(jmap_requests.answer_message, 200, b"[" * n, "R"),
    "a session's accounts": lambda n: partial(session, accounts={str(number): {} for number in range(n // 8)}),
    "a session's URL": lambda n: partial(session, apiUrl="http://a/" + "../" * n),
    "a content type": lambda n: partial(ingest, b"{}", "/+" * n, ce_id="1"),
    "a subtype": lambda n: partial(ingest, b"{}", "a/b" + "+json" * n + "!", ce_id="1"),
    "a charset": lambda n: partial(ingest, b"{}", cloudevents.STRUCTURED + ";" + "charset " * n),
    "blanks of a charset": lambda n: partial(ingest, b"{}", cloudevents.STRUCTURED + ";charset" + " " * n),
    "an attribute": lambda n: partial(ingest, b"", "", ce_subject='"' + "\\" * n),
    "an encoded attribute": lambda n: partial(ingest, b"", "", ce_subject="%41" * n),
    "members": lambda n: partial(ingest, b"{" + b'"a":1,' * n + b'"a":1}'),
    "brackets": lambda n: partial(ingest, b"[" * n),
    "escapes": lambda n: partial(ingest, b'"' + b"\\u0041" * n + b'"'),
    "digits behind a point": lambda n: partial(ingest, b"0." + b"1" * n),
    "an exponent": lambda n: partial(ingest, b"1e" + b"1" * n),
    "an integer": lambda n: partial(ingest, b"1" * n),
    "a time": lambda n: partial(mailevent.read, 0, {**NEW, "time": "2026-01-31T09:30:00." + "1" * n + "Z"}, 0),
    "an account": lambda n: partial(mailevent.read, 0, {**NEW, "subject": "a" * n}, 0),
    "an event name": lambda n: partial(mailevent.read, 0, {**NEW, "type": "mail." + "a" * n}, 0),
    "a state": lambda n: partial(mailevent.read, 0, {**NEW, "data": {"changed": {"Email": "s" * n}}}, 0),
    "claims": lambda n: partial(verify, '{"sub":"a","exp":9e9,"a":"' + "\\u0041" * n + '"}'),
    "accounts of a token": lambda n: partial(verify, '{"sub":"a","exp":9e9,"accounts":["b"' + ',"b"' * n + "]}"),
    "a log entry": lambda n: partial(log_entry, [["a", {"b": "c"}, "e", "i", "s", None, 0.0]] * n),
    "responses of IMAP": lambda n: partial(framed, b"* 1 EXISTS\r\n" * n),
    "literals of IMAP": lambda n: partial(framed, b"* {1}\r\na" * n),
    "a response of IMAP, a byte at a time": lambda n: partial(framed_by_the_byte, b"a" * n),
    "a mailbox of IMAP": lambda n: partial(responses.read, [b'* STATUS "' + b'\\"' * n + b'" (MESSAGES 1)']),
    "attributes of a mailbox": lambda n: partial(responses.read, [b"* LIST (" + b"\\a " * n + b') "/" a']),
    "numbers of a mailbox": lambda n: partial(responses.read, [b"* STATUS a (" + b"UNSEEN 1 " * n + b")"]),
    "a number of a mailbox": lambda n: partial(responses.read, [b"* STATUS a (UNSEEN " + b"1" * n + b")"]),
    "brackets of a mailbox": lambda n: partial(responses.read, [b"* LIST " + b"(" * n]),
    "a document of tags": lambda n: partial(html.document, "<" * n),
    "a document of frames": lambda n: partial(html.document, "<iframe " * n),
}


def rejected_or_not(parse: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with suppress(TidingsError):
            parse()

    return run


@pytest.mark.parametrize("name", [*HEADS, *FIELDS, *BODIES])
def test_twice_the_input_costs_about_twice_as_much(name: str) -> None:
    parser = {**HEADS, **FIELDS, **BODIES}[name]
    assert growth(lambda size: rejected_or_not(parser(size)), SIZE) < MOST
