"""A regular expression that sees bytes from outside takes time that is linear in them.

Every regular expression of the services is listed here, with what it matches; one that is not fails a test. Those that
see bytes from outside are tried with all that could make them try again and again.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.growth import cpu_seconds, growth
from tidings import errors

SERVICES: Final = Path(errors.__file__).parents[1]
MOST: Final = 3.0
"""Twice the input may cost so much more; what is quadratic costs 4 times as much."""


class Outside(NamedTuple):
    """One that sees bytes from outside: how it is used, and texts that it matches or nearly matches."""

    how: str
    examples: tuple[str | bytes, ...]


class Inside(NamedTuple):
    """One that sees nothing from outside, and why."""

    reason: str


LISTED: Final[dict[str, Outside | Inside]] = {
    "heads._TARGET": Outside("fullmatch", ("https://a.b:1/c?d=e", "/a/b", "*", "http://", "?a")),
    "heads._HOST": Outside("fullmatch", ("a.b-c%20:80", "[::1]:80")),
    "heads._AMBIGUOUS": Outside("search", ("/a%2Fb", "/a%20", "%%")),
    "http1._REQUEST_LINE": Outside("fullmatch", (b"GET /a?b HTTP/1.1",)),
    "http1._FIELDS": Outside("fullmatch", (b"\r\nName:  value\t \xff\r\nB: c", b"\r\nA:", b"")),
    "websocket._PROTOCOL": Outside("fullmatch", ("jmap",)),
    "websocket._EXTENSION": Outside("fullmatch", ('a ; b ; c=d; e = "f\\g"', "a;b")),
    "poll._ETAG": Outside("fullmatch", (' W/"a" , "b"', '"a"')),
    "cors._NAME": Outside("fullmatch", ("x-a",)),
    "cors._OF_PROXIES": Outside("fullmatch", ("x-forwarded-a", "sec-a-b")),
    "address._NODE": Outside("fullmatch", ("[::1]:_a", "1.2.3.4:80")),
    "address._PAIR": Outside("match", (' for = "[::1]:80\\"" ', "for=1.2.3.4;by=a")),
    "cloudevents._JSON_TYPE": Outside("fullmatch", ("application/json", "a/b+c+json", "/+/+")),
    "tracecontext._TRACEPARENT": Outside("fullmatch", (f"00-{'a' * 32}-{'b' * 16}-01", "cc--")),
    "jsonbody._CHARSET": Outside("search", ('; charset = "utf-8"; a', "charset=a")),
    "cloudevents._QUOTED": Outside("fullmatch", (r'"a\"b\\c"',)),
    "cloudevents._ESCAPED": Outside("search", (r"a\"b\\c",)),
    "notification._COUNT": Outside("fullmatch", (b"12",)),
    "notification._TOKEN": Outside(
        "match", (b"{12+}\r\n", b'"a\\"b', b'"\\', b"word ", b"%(", b"    ", b"\r\n", b"{1234567")
    ),
    "notification._ESCAPED": Outside("search", (b'a\\"b',)),
    "event._NAME": Outside("fullmatch", ("MessageNew", "vnd.cmu.MessageMove")),
    "event._STATE": Outside("fullmatch", ("12345",)),
    "event._MAILBOX": Outside("match", ("imap://mail.example/user/alice;UIDVALIDITY=1", "imap://////")),
    "event_model._EVENT_NAME": Outside("fullmatch", ("MessageNew",)),
    "event_model._TIME": Outside("fullmatch", ("2026-01-31T09:30:00.125+01:00", "2026-01-31t09:30:60z")),
    "format._PENDING": Outside("fullmatch", ("2026112918.jsonl", "2026112918-5000.jsonl")),
    "format._CLAIMED": Outside("fullmatch", ("00000012.2026112918-5000.jsonl.claimed", "00000012.lost.claimed")),
    "format._WRITERS_OWN": Outside("fullmatch", ("breaker-5000",)),
    "change._UNPRINTABLE": Outside("search", ("a\x00",)),
    "change._DATA_TYPE": Outside("fullmatch", ("Email_1.a:b-c",)),
    "message._PLAIN_ACCOUNT": Outside("fullmatch", ("a.b+c@d-e.f", "a..b")),
    "kubectl._FORWARDING": Outside("fullmatch", (b"Forwarding from 127.0.0.1:41234 -> 9090\n",)),
    "html._LOADING": Outside("findall", ("<a></iframe <LINK>", "</", "<<")),
    "bodies._OFFSET": Outside("fullmatch", ("123",)),
    "bodies._PATH": Outside("fullmatch", ("1.2.3",)),
    "gist._UNSEEN": Outside("findall", ("a<!-- b -->c<style a>b</style c>d", "<title><title", "<!--")),
    "gist._APART": Outside("findall", ("a<div></td>", "</h1")),
    "gist._TAG": Outside("findall", ("a<b c>d</e>", "<!")),
    "words._FOLD": Outside("findall", ("a\r\n b\r\nc", "\r\r\n")),
    "words._WORD": Outside("findall", ("a =?utf-8*en?q?b_=C3?= c", "=?a?b?c d")),
    "words._CONTROL": Outside("findall", ("a \x00b",)),
    "words._OVERRIDE": Outside("findall", ("a\u202eb",)),
    "words._PARAMETER": Outside("findall", ('; a*0* = "b\\"c" ; d=e f', ';a="b')),
    "words._SECTION": Outside("fullmatch", ("name*12*",)),
    "words._QUOTED": Outside("findall", (r'a "b\"c" "d',)),
    "words._ESCAPED": Outside("findall", (r"a\"b\\c",)),
    "words._MAIN_END": Outside("search", ("text/plain; a",)),
    "words._MAILBOX": Outside("match", (' "a\\"b" c <d@e>', "a b")),
    "words._COMMENT": Outside("findall", ("(a) b", "((")),
    "words._ZONE_COLON": Outside("findall", ("a +01:00",)),
    "words._FRACTION": Outside("findall", ("12:30:01.125 a",)),
    "words._ISO": Outside("match", ("2026-01-01T",)),
    "words._FROM_GREENWICH": Outside("search", ("a GMT+0100", "UTC-0330")),
    "charsets._JAPANESE": Outside("search", (b"a\x1b$B",)),
    "charsets._META": Outside("search", (b'<meta http-equiv=a content="b; charset = utf-8">', b'<meta charset="')),
    "charsets._LABEL_END": Outside("search", ("utf-8(a)",)),
    "charsets._WINDOWS": Outside("findall", ("cp-1252",)),
    "fields._FIELD": Outside("findall", (b"Name : a\r\n b\r\nB: c\n", b"A:b\n\tc")),
    "fields._BLANK": Outside("search", (b"a\r\n\r\nb", b"\r\n")),
    "fields._EMPTY_LINE": Outside("match", (b"\r\n",)),
    "fields._MAILBOX_LINE": Outside("match", (b">From a b\n",)),
    "reading._NEWLINE": Outside("findall", ("a\r\nb\rc",)),
    "transfer._NO_BASE64_LINE": Outside("search", (b"ABC=\r\nAB C\r\n-",)),
    "transfer._SOFT_BREAK": Outside("search", (b"a= \t\r",)),
    "account_rules._rule: re.compile": Inside("the operator's map; what is matched has at most 320 characters"),
    "environment._LINK": Inside("names of variables in the environment"),
    "environment._LINK_VALUE": Inside("variables in the environment"),
    "runbooks._BLOCK": Inside("docs/runbooks, as they are installed"),
    "runbooks._ITEM": Inside("docs/runbooks, as they are installed"),
    "runbooks._CODE": Inside("docs/runbooks, as they are installed"),
    "runbooks._BOLD": Inside("docs/runbooks, as they are installed"),
    "runbooks._LINK": Inside("docs/runbooks, as they are installed"),
    "flags._value: re.fullmatch": Inside("names of settings"),
    "urls._SCHEME": Inside("what the operator sets"),
    "urls._HOST": Inside("what the operator sets"),
    "urls._ADDRESS": Inside("what the operator sets"),
    "urls.origin: re.fullmatch": Inside("what the operator sets"),
    "descriptors.kind_of: re.match": Inside("links that the kernel writes; one to a file has a slash, where it stops"),
    "text._URL_PASSWORD": Inside("the command line of this process"),
    "text._URL_PARAMETER": Inside("the command line of this process"),
    "text._SECRET_FLAG": Inside("the command line of this process"),
    "allocators._HELD": Inside("a report of CPython's allocator"),
    "allocators._USED": Inside("a report of CPython's allocator"),
}


class Found(NamedTuple):
    """One in the source: where it is, and by which module and name it is had, where it has one."""

    place: str
    module: str
    name: str


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(SERVICES).with_suffix("").parts)


def _expressions(path: Path) -> Iterator[tuple[str, Found]]:
    """Every use of `re`, by its key in LISTED. Those of pydantic are Rust's, which are linear whatever they say."""
    tree = ast.parse(path.read_text())
    named = {
        id(node.value): node.targets[0] if isinstance(node, ast.Assign) else node.target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
    }
    scopes = [(node.name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for node in ast.walk(tree):
        place = f"{path.relative_to(SERVICES)}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if alias.name in ("regex", "fnmatch", "glob", "sre_parse") or (alias.name == "re" and alias.asname):
                        yield f"{path.stem}: import {alias.name}", Found(place, "", "")
            case ast.ImportFrom(module="re" | "regex" | "fnmatch" | "glob" as module):
                yield f"{path.stem}: from {module} import", Found(place, "", "")
            case ast.keyword(arg="regex_engine"):
                yield f"{path.stem}: regex_engine", Found(place, "", "")
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=method)):
                target = named.get(id(node))
                if isinstance(target, ast.Name) and method == "compile":
                    yield f"{path.stem}.{target.id}", Found(place, _dotted(path), target.id)
                    continue
                within = [name for name, scope in scopes if node in ast.walk(scope)] or ["module"]
                yield f"{path.stem}.{within[-1]}: re.{method}", Found(place, "", "")


FOUND: Final = {key: found for path in sorted(SERVICES.rglob("*.py")) for key, found in _expressions(path)}


def test_every_regular_expression_is_listed_with_what_it_sees() -> None:
    unlisted = {key: found.place for key, found in FOUND.items() if key not in LISTED}
    assert not unlisted, "list it in LISTED: Outside (a module's constant, with examples) or Inside (with the reason)"
    assert not LISTED.keys() - FOUND.keys(), "these are not there any more"
    assert all(FOUND[key].name for key, listed in LISTED.items() if isinstance(listed, Outside))


# What a repetition may be made of, beside what is in the examples.
COMMON: Final = (" ", "\t", "\n", "\x00", "a", "A", "0", "%", '"', "\\", "\xe9", "\ud800", "a ", "a=", '"a', "%2", "a,")
SHORT, LONG = 24, 3_000
SUSPECT_SECONDS: Final = 0.002


def attacks(example: str | bytes) -> Iterator[Callable[[int], str | bytes]]:
    """Everything that begins as the example does, repeats a character or two, and goes on as it does or does not."""
    shown = example.decode("latin-1") if isinstance(example, bytes) else example
    pieces = dict.fromkeys(
        (*COMMON, *shown, *(shown[at : at + 2] for at in range(len(shown))), *re.findall(r"\W?\w+", shown), shown)
    )
    for at in range(len(shown) + 1):
        for piece in pieces:
            for rest in dict.fromkeys(("", "\x01", shown[at:], f"{shown[at:]}\x01")):

                def made(times: int, start: str = shown[:at], piece: str = piece, rest: str = rest) -> str | bytes:
                    attack = start + piece * times + rest
                    return attack.encode("latin-1", "replace") if isinstance(example, bytes) else attack

                yield made


@pytest.mark.parametrize("key", [key for key, listed in LISTED.items() if isinstance(listed, Outside)])
def test_no_input_makes_an_expression_try_again_and_again(key: str) -> None:
    listed = LISTED[key]
    assert isinstance(listed, Outside)
    found = FOUND[key]
    use = getattr(getattr(importlib.import_module(found.module), found.name), listed.how)
    for attack in (attack for example in listed.examples for attack in attacks(example)):
        # What is exponential would not end with more.
        assert cpu_seconds([partial(use, attack(SHORT))]) < 10 * SUSPECT_SECONDS, attack(SHORT)
        if cpu_seconds([partial(use, attack(LONG))]) > SUSPECT_SECONDS:
            ratio = growth(lambda times, attack=attack: partial(use, attack(times)), LONG)  # type: ignore[misc]
            assert ratio < MOST, attack(SHORT)


def test_what_is_quadratic_or_worse_is_found() -> None:
    for pattern, example in (
        (rb"a:[ \t]*([\t -~]*)", b"a: b"),
        (rb'"(?:a+)+"', b'"a"'),
        (rb"[!-~]+/[!-~]+\+j", b"a/b+j"),
    ):
        use = re.compile(pattern).fullmatch
        assert any(
            cpu_seconds([partial(use, attack(SHORT))]) > SUSPECT_SECONDS
            or (cpu_seconds([partial(use, attack(LONG))]) > SUSPECT_SECONDS)
            for attack in attacks(example)
        )
