from __future__ import annotations

import pytest

from tidings.publisher.sources.postgres.failures import MAX_CHARS, told


@pytest.mark.parametrize(
    ("sqlstate", "message", "hint"),
    [
        ("42P01", 'relation "tidings_outbox" does not exist', "postgres-schema"),
        ("42501", "permission denied for table tidings_outbox", "GRANTs"),
        (None, 'FATAL:  password authentication failed for user "mail"', "is wrong"),
        (None, 'FATAL:  database "mail" does not exist', "names a user or database that does not exist"),
    ],
)
def test_what_is_known_has_a_hint(sqlstate: str | None, message: str, hint: str) -> None:
    said = told(sqlstate, message)
    assert said.startswith(" ".join(message.split()))
    assert hint in said


def test_others_are_one_bounded_line() -> None:
    assert told("XX000", "a\nb\n") == "a b"
    assert told(None, "") == "no answer in time"
    assert len(told(None, "x" * 1000)) == MAX_CHARS
