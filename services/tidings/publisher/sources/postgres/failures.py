"""What went wrong with PostgreSQL, in words that say what to do. Pure."""

from __future__ import annotations

from typing import Final

_SETTING: Final = "--postgres-url (TIDINGS_POSTGRES_URL)"
_HINTS: Final = {
    "42P01": "run the SQL of `tidings postgres-schema` in this database",
    "42703": "the table is of another version: run the SQL of `tidings postgres-schema` in this database",
    "42501": "the end of `tidings postgres-schema` has the GRANTs that this role needs",
    "25006": f"this server is read-only: {_SETTING} has to reach the primary",
}
"""By SQLSTATE (appendix A of PostgreSQL's manual)."""
_OF_CONNECTING: Final = {
    "password authentication failed": f"user or password in {_SETTING} is wrong",
    "no password supplied": f"{_SETTING} needs a password, or set `PGPASSWORD`",
    "no pg_hba.conf entry": "pg_hba.conf does not allow this user from this address",
    "does not exist": f"{_SETTING} names a user or database that does not exist",
    "too many clients": "each publisher needs two connections",
}
"""By what the message holds: of a connection that was not made there is no SQLSTATE."""
MAX_CHARS: Final = 300


def told(sqlstate: str | None, message: str) -> str:
    """An error in one line, with what to do about it where that is known; `sqlstate` is None for one of no server's."""
    line = " ".join(message.split())[:MAX_CHARS] or "no answer in time"
    hint = _HINTS.get(sqlstate or "") or next((hint for part, hint in _OF_CONNECTING.items() if part in line), None)
    return f"{line} ({hint})" if hint else line
