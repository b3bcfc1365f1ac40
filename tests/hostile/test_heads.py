"""What RFC 9112 section 3.2 asks of every request is asked on every port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.listeners import Listener, ask, everything, statuses


def bad_heads(listener: Listener) -> dict[str, tuple[int, bytes]]:
    """Heads by what is wrong with them, with the status that says so."""
    get = listener.get
    return {
        "no Host": (400, get(host=False)),
        "two Hosts": (400, get("Host: 127.0.0.1")),
        "two Hosts that differ in case": (400, get("HOST: localhost")),
        "an empty Host": (400, get("Host:", host=False)),
        "a Host that is none": (400, get("Host: a b", host=False)),
        "a Host with a user": (400, get("Host: user@127.0.0.1", host=False)),
        "two Authorizations": (400, get("Authorization: Bearer a", "Authorization: Bearer a")),
        "two Origins": (400, get("Origin: http://127.0.0.1", "Origin: http://evil.example")),
        "an encoded slash": (400, get(path="/debug%2Fvars")),
        "an encoded slash in lower case": (400, get(path="/debug%2fvars")),
        "an encoded slash in an absolute target": (400, get(path="http://127.0.0.1/debug%2Fvars")),
        "an encoded NUL": (400, get(path="/a%00")),
        "an encoded line feed": (400, get(path="/a%0a")),
        "a % and nothing behind it": (400, get(path="/a%")),
        "a fragment": (400, get(path="/a#b")),
        "a target that is relative": (400, get(path="livez")),
        "an asterisk that is not OPTIONS": (400, get(path="*")),
        "an authority": (400, get(path="127.0.0.1:80", method="CONNECT")),
        "a target with a user": (400, get(path="http://user@127.0.0.1/")),
        "two lengths": (400, get("Content-Length: 0", "Content-Length: 1")),
        "a length and chunks": (400, get("Content-Length: 0", "Transfer-Encoding: chunked")),
        "white space before a colon": (400, get("Host : a")),
        "a folded line": (400, get("A: b", " c")),
        "HTTP/2": (505, get(version="2.0")),
        "HTTP/0.9": (505, get(version="0.9")),
    }


async def test_every_port_refuses_what_could_be_read_in_two_ways(tmp_path: Path) -> None:
    async with everything(tmp_path) as ports:
        for listener in ports.all.values():
            for name, (status, head) in bad_heads(listener).items():
                answer = await ask(listener.port, head, half_close=True)
                start, _, body = answer.partition(b"\r\n\r\n")
                assert statuses(answer) == [status], (listener.name, name, answer)
                assert json.loads(body)["status"] == status, (listener.name, name)
                lines = start.lower().split(b"\r\n")
                assert b"connection: close" in lines, (listener.name, name)
                assert b"content-type: application/problem+json" in lines, (listener.name, name)
                assert any(line.startswith(b"date: ") for line in lines), (listener.name, name)


@pytest.mark.parametrize("name", ["gateway", "handed over", "webmail", "admin", "probe"])
async def test_every_port_serves_what_is_unusual_and_right(name: str, tmp_path: Path) -> None:
    async with everything(tmp_path) as ports:
        listener = ports[name]
        close = "Connection: close"
        for head in (
            listener.get(close),
            b"\r\n" + listener.get(close),
            listener.get(version="1.0", host=True),
            listener.get(close, "Cookie: a=b", "Cookie: c=d", "Accept: a", "Accept: b"),
            listener.get("Host: elsewhere.example", close, path=f"http://127.0.0.1:80{listener.path}", host=False),
            listener.get("HOST: 127.0.0.1:80", close, host=False),
        ):
            assert statuses(await ask(listener.port, head)) == [200], head
        # The authority of an absolute target is the one that counts, whatever Host says.
        head = listener.get(close, path=f"http://elsewhere.example{listener.path}")
        assert statuses(await ask(listener.port, head)) == [200 if name == "probe" else 400 if name == "admin" else 403]


async def test_a_refusal_of_a_head_has_no_body_for_a_head(tmp_path: Path) -> None:
    async with everything(tmp_path) as ports:
        for listener in ports.all.values():
            for head in (listener.get("Host: b", method="HEAD"), listener.get("A" * 20_000, method="HEAD")):
                answer = await ask(listener.port, head)
                assert answer.startswith(b"HTTP/1.1 4"), (listener.name, answer)
                assert answer.endswith(b"\r\n\r\n"), (listener.name, answer)
                assert answer.count(b"\r\n\r\n") == 1
