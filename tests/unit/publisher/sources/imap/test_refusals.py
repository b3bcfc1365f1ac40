from __future__ import annotations

import pytest

from tidings.publisher.sources.imap.pacing import DELAYS
from tidings.publisher.sources.imap.refusals import ADVICE, refusal
from tidings.publisher.sources.imap.responses import Condition


@pytest.mark.parametrize(
    ("status", "code", "text", "reason"),
    [
        (b"NO", "AUTHENTICATIONFAILED", "Authentication failed.", "login"),
        (b"NO", "", "Login failed", "login"),
        (b"NO", "LIMIT", "Maximum number of connections from user+IP exceeded", "limit"),
        (b"BYE", "", "Too many connections from your host", "limit"),
        (b"NO", "UNAVAILABLE", "Temporary authentication failure", "away"),
        (b"BYE", "", "Server shutting down.", "away"),
    ],
)
def test_why_a_login_is_refused(status: bytes, code: str, text: str, reason: str) -> None:
    error = refusal(Condition(b"t1", status, code, text), "login", login=True)
    assert error.reason == reason
    assert text in str(error)
    assert f"[{code}]" in str(error) or not code


def test_a_command_that_is_refused_is_another_matter() -> None:
    error = refusal(Condition(b"t1", b"BAD", "", "what\n?"), "LIST")
    assert (error.reason, str(error)) == ("protocol", "LIST: BAD what??")


def test_each_reason_has_advice_and_a_delay() -> None:
    assert set(ADVICE) == set(DELAYS)
