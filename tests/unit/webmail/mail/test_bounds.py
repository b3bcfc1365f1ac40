"""Mail of full size that was written to cost as much as it can: bounded CPU and 64 MB, whatever it holds.

Each takes about half of that at most; most take a tenth.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from tests.support.unmeasured import unmeasured
from tidings.webmail.mail import gist, words
from tidings.webmail.mail.reading import content_of, summary_of, whole
from tidings.webmail.mail.source import Bytes

SIZE = 30_000_000
READ = 60
"""Times that counting to a million takes: at most so long may reading a mail take, and its summary."""
SUMMARY = 15
MEMORY = 64_000_000

HEAD = b"From: Ann <a@x.example>\nTo: b@x.example\nSubject: x\n"
MULTIPART = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"


def seconds_of(function: Callable[[], object]) -> float:
    """The CPU time of a call."""
    with unmeasured():
        began = time.thread_time()
        function()
        return time.thread_time() - began


def count() -> None:
    """Count to a million: machines differ in speed, and what else runs on a processor makes its neighbour slower."""
    for _ in range(1_000_000):
        pass


def takes_at_most(times: float, function: Callable[[], object]) -> bool:
    """Whether the fastest of three calls takes at most so many times what counting takes in the same moment."""
    return any(seconds_of(function) < times * seconds_of(count) for _ in range(3))


def peak_of(function: Callable[[], object]) -> int:
    """The most bytes that a call holds at a time."""
    tracemalloc.start()
    try:
        with unmeasured():
            function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def much(piece: bytes, size: int = SIZE) -> bytes:
    return piece * (size // len(piece))


def text(charset: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Type: text/plain; charset=" + charset + b"\n\n" + body


def encoded(encoding: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body


def nested(depth: int, extra: bytes = b"") -> bytes:
    return HEAD + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n%s\n--b%d\n" % (number, extra, number) for number in range(depth)
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "newlines": lambda: HEAD + b"\n" * SIZE,
    "only newlines": lambda: b"\n" * SIZE,
    "only carriage returns": lambda: HEAD.replace(b"\n", b"\r") + b"\r" * SIZE,
    "fields": lambda: HEAD + much(b"a:\n"),
    "fields that are read": lambda: HEAD + much(b"to:\n"),
    "a field without a colon": lambda: HEAD + b"a" * SIZE,
    "lines that are no fields": lambda: HEAD + much(b"a\n") + b"b: c\n",
    "a long field": lambda: b"Subject: " + b"s" * SIZE,
    "a folded field": lambda: b"Subject: x" + much(b"\n x"),
    "one part": lambda: MULTIPART + b"--b\n\n" + b"\n" * SIZE,
    "dashes": lambda: MULTIPART + b"--b\n\n" + much(b"\n--"),
    "parts": lambda: MULTIPART + much(b"--b\n\n"),
    "parts with long headers": lambda: MULTIPART + much(b"--b\n" + much(b"to:\n", 31_000) + b"\n"),
    "parts with noise for headers": lambda: MULTIPART + much(b"--b\n" + much(b"a\n", 31_000) + b"\n"),
    "parts whose headers do not end": lambda: MULTIPART + much(b"--b\n" + much(b"a:\n", 29_000)),
    "parts with faults": lambda: (
        MULTIPART + much(b"--b\nContent-Type: text/plain; charset=utf-7\n\n" + b"\xff" * 30_000)
    ),
    "almost boundaries": lambda: MULTIPART + b"--b\n\n" + much(b"\n--bx"),
    "boundaries that do not end": lambda: MULTIPART + b"--b\n\n" + much(b"\n--b" + b" " * 2_000),
    "nested": lambda: nested(200) + b"\n" + b"\n" * SIZE,
    "nested alike": lambda: HEAD + much(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n"),
    "nested with long headers": lambda: nested(4, b"a:" + b"x" * 300_000 + b"\n") + b"\n" + b"\n" * SIZE,
    "quoted semicolons": lambda: HEAD + b'Content-Type: text/plain; a="' + b";" * SIZE + b'"\n\nx',
    "parameters": lambda: HEAD + b"Content-Type: text/plain" + much(b";a=b") + b"\n\nx",
    "sections": lambda: HEAD + b"Content-Type: a/b" + b"".join(b"; name*%d*=%%ff" % n for n in range(999)) + b"\n\nx",
    "base64": lambda: encoded(b"base64", much(b"QUFB" * 19 + b"\n")),
    "base64 of newlines": lambda: encoded(b"base64", b"\n" * SIZE),
    "base64 with padding": lambda: encoded(b"base64", much(b"QQ==")),
    "quoted-printable": lambda: encoded(b"quoted-printable", much(b"=\n")),
    "quoted-printable signs": lambda: encoded(b"quoted-printable", b"=" * SIZE),
    "flowed": lambda: HEAD + b"Content-Type: text/plain; format=flowed\n\n" + much(b"> \n>> \n"),
    "flowed newlines": lambda: HEAD + b"Content-Type: text/plain; format=flowed\n\n" + b"\n" * SIZE,
    "punycode": lambda: text(b"punycode", b"a" * SIZE),
    "idna": lambda: text(b"idna", much(b"xn--a.")),
    "utf-7": lambda: text(b"utf-7", b"\xff" * SIZE),
    "utf-7 without an end": lambda: text(b"utf-7", b"+" + b"A" * SIZE),
    "hebrew": lambda: text(b"iso-8859-8", b"\xff" * SIZE),
    "japanese": lambda: text(b"iso-2022-jp", b"\xff" * SIZE),
    "japanese of the vendors": lambda: text(b"iso-2022-jp", b"\x1b$B" + much(b"\x2d\x21")),
    "html": lambda: HEAD + b"Content-Type: text/html\n\n" + much(b"<meta "),
    "parentheses": lambda: b"From: " + b"(" * SIZE + b"\n\nx",
    "addresses": lambda: b"From: " + much(b"a@b, ") + b"\n\nx",
    "encoded words": lambda: b"Subject: " + much(b"=?utf-7?b?/////w==?= =?iso-2022-jp?b?/////w==?= ") + b"\n\nx",
    "attached mails": lambda: MULTIPART + much(b"--b\nContent-Type: message/rfc822\n\n" + much(b"a:\n", 20_000)),
    "names": lambda: (
        MULTIPART + much(b"--b\nContent-Type: a/b; name=" + much(b"=?utf-7?b?//8=?= ", 15_000) + b"\n\nx\n")
    ),
    "documents": lambda: MULTIPART + much(b"--b\nContent-Type: text/html\n\n<p>x\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_mail_takes_long_or_much(name: str) -> None:
    source = Bytes(HOSTILE[name]())
    assert takes_at_most(READ, lambda: content_of(whole(source)))
    assert takes_at_most(SUMMARY, lambda: summary_of(source))
    assert peak_of(lambda: content_of(whole(source))) < MEMORY


def test_two_hundred_nested_mails_are_listed_soon() -> None:
    mails = [Bytes((nested(150) + b"\n" * 16_384)[:16_384]) for _ in range(200)]
    assert takes_at_most(READ, lambda: [summary_of(mail) for mail in mails])


FIELDS = [
    "(", '"', '"\\', "a@b, ", "a, ", "<", "=?", "=?a?q?", "=?utf-8?q?a?= ", "?", ";", ";a", "; a=b", '; a="', "\\", " ",
    "\t", "1 ", "1:", "Nov ", "+", "; a*1*=%ff", "; a*0=b", "; a", "=",
]  # fmt: skip
FUNCTIONS: list[Callable[[str], object]] = [words.shown, words.sender_name, words.read_value, words.date_of]
DOCUMENTS = ["<", "<a", "<!--", "<style>", "<style></sty", "&", "&#38", "<p", "</", "a<b>"]


@pytest.mark.parametrize("function", [*FUNCTIONS, gist.words_of], ids=lambda function: function.__name__)
@pytest.mark.parametrize("piece", [*FIELDS, *DOCUMENTS])
def test_four_times_as_much_takes_about_four_times_as_long(function: Callable[[str], object], piece: str) -> None:
    def best(text: str) -> float:
        return min(seconds_of(lambda: function(text)) for _ in range(5))

    short, long = (piece * (size // len(piece)) for size in (16_384, 65_536))
    # What is over in a millisecond is not worth comparing. Where each piece is compared with each it is 16 times.
    assert best(long) < 8 * max(best(short), 0.001)
