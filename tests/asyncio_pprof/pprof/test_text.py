from __future__ import annotations

import pytest

from asyncio_pprof.pprof.encoding import address
from asyncio_pprof.pprof.profile import BLOCK, Frame, Profile
from asyncio_pprof.pprof.text import MAX_SYMBOLS, grouped, redacted, symbols

OUTER = Frame("module.outer", "/module.py", 1, 2)
INNER = Frame("module.inner", "/module.py", 5, 7)


def test_the_largest_is_first_in_text() -> None:
    profile = Profile(
        BLOCK, {((OUTER,), ()): (5, 10), ((INNER, OUTER), (("thread", "main"),)): (1, 99)}, 0, comments=("since start",)
    )
    assert grouped(profile).splitlines() == [
        "block profile: total 6",
        "# since start",
        "# contentions/count delay/nanoseconds @ addresses",
        f"1 99 @ {address(INNER):#x} {address(OUTER):#x}",
        "# thread: main",
        f"#\t{address(INNER):#x}\tmodule.inner\t/module.py:7",
        f"#\t{address(OUTER):#x}\tmodule.outer\t/module.py:2",
        "",
        f"5 10 @ {address(OUTER):#x}",
        f"#\t{address(OUTER):#x}\tmodule.outer\t/module.py:2",
        "",
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("gateway --port 8080", "gateway --port 8080"),
        ("--bus amqp://user:se:cret@host:5672/vhost", "--bus amqp://user:xxxxx@host:5672/vhost"),
        ("--bus=amqps://user:secret@host", "--bus=amqps://user:xxxxx@host"),
        ("--bus amqp://user:a/b@host/", "--bus amqp://user:xxxxx@host/"),
        ("--bus amqp://:secret@host", "--bus amqp://:xxxxx@host"),
        ("--url http://host:80/a@b", "--url http://host:xxxxx@b"),
        ("--url http://user@host/", "--url http://user@host/"),
        ("--admin-token secret --port 1", "--admin-token xxxxx --port 1"),
        ("--jwt-secret=secret --port 1", "--jwt-secret=xxxxx --port 1"),
        ("--API-KEY secret", "--API-KEY xxxxx"),
        ("--password", "--password"),
        ("--gateway-url http://h/?access_token=abc&x=1", "--gateway-url http://h/?access_token=xxxxx&x=1"),
    ],
)
def test_command_lines_without_secrets(given: str, shown: str) -> None:
    assert " ".join(redacted(given.split(" "))) == shown


def test_symbols_that_are_known() -> None:
    names = {0x10: "ten", 0xAB: "more"}
    assert symbols("0x10+ab+0x11+x+", names.get) == "num_symbols: 1\n0x10 ten\n0xab more\n"
    many = "+".join(["10"] * (MAX_SYMBOLS + 5))
    assert symbols(many, names.get).count("ten") == MAX_SYMBOLS
