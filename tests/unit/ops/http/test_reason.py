from __future__ import annotations

import errno
import socket
import ssl
from itertools import pairwise

import pytest

from tidings.ops.http.reason import SAID_CHARS, detail, hint, is_nobody_there, reason


def chained(*errors: Exception) -> Exception:
    """The first, raised because of the second, and so on."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_the_reason_is_at_the_bottom() -> None:
    assert reason(chained(OSError("All connection attempts failed"), ConnectionRefusedError(111, "refused"))) == (
        "nothing listens there"
    )
    assert reason(chained(RuntimeError("x"), socket.gaierror(-2, "Name or service not known"))) == (
        "the host name does not exist"
    )
    assert reason(chained(RuntimeError("x"), TimeoutError())) == "no answer in time"


def test_nobody_is_where_nothing_answers() -> None:
    assert is_nobody_there(chained(RuntimeError("x"), ConnectionRefusedError(111, "refused")))
    assert is_nobody_there(OSError(errno.EHOSTUNREACH, "No route to host"))
    assert is_nobody_there(TimeoutError())
    assert is_nobody_there(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    assert not is_nobody_there(chained(RuntimeError("x"), socket.gaierror(socket.EAI_NONAME, "Name not known")))
    assert not is_nobody_there(RuntimeError("401"))


def test_a_certificate_that_is_not_trusted() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    assert reason(error).startswith("the certificate is not trusted: self-signed certificate (SSL_CERT_FILE")


@pytest.mark.parametrize(("error", "said"), [(RuntimeError("as it is"), "as it is"), (EOFError(), "EOFError")])
def test_others_speak_for_themselves(error: Exception, said: str) -> None:
    assert reason(error) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail": "why\\u001b[2J"}', r"why\x1b[2J"),
        (b'{"title": "Not Found"}', '{"title": "Not Found"}'),
        (b" plain\x1b[2J\n", r"plain\x1b[2J"),
        (b"[" * 100_000, "[" * SAID_CHARS),
        (b"\xff", "\ufffd"),
        (b"", "no reason given"),
    ],
)
def test_what_somebody_says_who_refuses(body: bytes, said: str) -> None:
    assert detail(body) == said


def test_words_of_others_move_no_cursor() -> None:
    assert reason(RuntimeError("a\x1b[2Jb\rc\u202e")) == r"a\x1b[2Jb\rc\u202e"


def test_a_path_that_is_not_there_may_be_that_of_somebody_else() -> None:
    assert hint(404, "gateway") == " (is this the URL of a gateway?)"
    assert hint(401, "gateway") == ""
