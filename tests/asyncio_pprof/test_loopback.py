from __future__ import annotations

import pytest

from asyncio_pprof.loopback import is_loopback, names_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("mail.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:6060", True),
        ("127.0.0.1", True),
        ("[::1]:6060", True),
        ("example:6060", False),
        ("localhost:x", False),
        ("a@localhost", False),
        ("localhost/a", False),
        ("[", False),
        ("", False),
    ],
)
def test_names_of_loopback(host: str, expected: bool) -> None:
    assert names_loopback(host) is expected
