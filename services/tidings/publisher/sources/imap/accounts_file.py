"""The file of --imap-accounts: whose mailboxes to listen to, and how to log in. Pure.

A line for each account, its login name first; empty lines and those that begin with # mean nothing:

    master tidings password=...          logs in for every account that has no credential of its own
    alice@example.test
    bob@example.test password="with a blank"
    carol@example.test token=...         an OAuth token
    dave@example.test token-file=/run/secrets/dave    one that somebody else keeps fresh, read before each login
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tidings.errors import SettingsError

MASTER: Final = "master"
SECRETS: Final = ("password", "token", "token-file")
MAX_FILE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credential:
    """One of `secret` and `token_file`. `token`: it is an OAuth token and no password."""

    secret: str = field(default="", repr=False)
    token: bool = False
    token_file: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and as whom: `master` is the name of a master user, or empty."""

    user: str
    secret: str = field(repr=False)
    token: bool = False
    master: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An account. `line` is where it is in the file; `master` names who logs in for it, or is empty."""

    user: str
    credential: Credential
    master: str
    line: int = field(compare=False)

    def login(self, token: str = "") -> Login:
        """How to log in; `token` is what its token file holds."""
        credential = self.credential
        return Login(self.user, token or credential.secret, credential.token, self.master)


def parse(text: str, most: int) -> Mapping[str, Entry]:
    """The accounts of a file, by login name.

    Raises SettingsError, also for more than `most`; the text begins with the line, and repeats no secret.
    """
    master: tuple[str, Credential] | None = None
    found: dict[str, tuple[int, Credential | None]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = _words(number, line)
        if not words:
            continue
        if words[0] == MASTER:
            if master is not None:
                raise SettingsError(f"{number}: a second master user")
            master = _master(number, words)
            continue
        user = words[0]
        if user in found:
            raise SettingsError(f"{number}: {user!r} is on line {found[user][0]} already")
        if len(found) >= most:
            raise SettingsError(f"{number}: more than {most} accounts (--imap-max-connections)")
        found[user] = number, _credential(number, words[1:])
    entries = {}
    for user, (number, own) in found.items():
        if own is not None:
            entries[user] = Entry(user, own, "", number)
        elif master is not None:
            entries[user] = Entry(user, master[1], master[0], number)
        else:
            raise SettingsError(
                f"{number}: {user!r} has no password=, token= or token-file=, and there is no master user"
            )
    return entries


def _words(number: int, line: str) -> list[str]:
    if not line.strip() or line.lstrip().startswith("#"):
        return []
    try:
        words = shlex.split(line, comments=False)
    except ValueError as error:
        raise SettingsError(f"{number}: {str(error).lower()}") from None
    if not all(word and word.isprintable() for word in words):
        raise SettingsError(f"{number}: has an empty word, or a control character")
    if "=" in words[0]:
        raise SettingsError(f"{number}: must begin with a login name")
    return words


def _master(number: int, words: list[str]) -> tuple[str, Credential]:
    credential = _credential(number, words[2:])
    if len(words) < 2 or "=" in words[1] or credential is None or credential.token:
        raise SettingsError(f"{number}: must be `{MASTER} LOGIN password=...`")
    return words[1], credential


def _credential(number: int, words: list[str]) -> Credential | None:
    """The credential of a line, None where it has none. An error names no word: that may be a part of a secret."""
    if not words:
        return None
    if len(words) > 1:
        raise SettingsError(f'{number}: more than one word after the name: quote a secret with blanks, password="a b"')
    name, separator, value = words[0].partition("=")
    if not separator or name not in SECRETS:
        raise SettingsError(
            f"{number}: after the name, {', '.join(f'{each}=' for each in SECRETS)} or nothing is expected"
        )
    if not value:
        raise SettingsError(f"{number}: {name}= is empty")
    if name == "token-file":
        return Credential(token=True, token_file=value)
    return Credential(value, token=name == "token")
