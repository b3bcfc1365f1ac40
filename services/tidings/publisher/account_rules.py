"""What an account map says: how the login of a storage becomes an account. Pure.

The map is TOML:

    lowercase = true                              # logins compare without case
    table = "accounts.txt"                        # lines of a login, white space and an account; it goes before rules
    [[rule]]                                      # the first one whose expression is the whole login
    match = '(?P<user>[^@]+)@(?P<domain>mail\\.example)'
    account = "{user}"                            # named groups, and {login}

A login that neither the table nor a rule knows has no account; a map without either leaves every login as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidings.errors import SettingsError
from tidings.wire.change import account_fault

MAX_LOGIN_CHARS: Final = 320
"""RFC 5321 section 4.5.3.1: 64 before the @, 255 behind it. Longer ones are not looked at."""
MAX_RULES: Final = 100
MAX_TABLE_LINES: Final = 1_000_000
LOGIN_GROUP: Final = "login"


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    match: Annotated[str, Field(min_length=1, max_length=1_000)]
    account: Annotated[str, Field(min_length=1, max_length=1_000)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    lowercase: bool = False
    table: Annotated[str, Field(min_length=1)] | None = None
    rule: Annotated[list[_Rule], Field(max_length=MAX_RULES)] = []


@dataclass(frozen=True, slots=True)
class Rule:
    """An expression that has to be the whole login, and what the account then is."""

    expression: re.Pattern[str]
    account: str

    def account_of(self, login: str) -> str | None:
        """The account, or None for a login that the expression is not."""
        found = self.expression.fullmatch(login)
        if found is None:
            return None
        # A group that took no part is nothing.
        return self.account.format(**found.groupdict(default=""), **{LOGIN_GROUP: login})


@dataclass(frozen=True, slots=True)
class Rules:
    """An account map. Without any it is the identity."""

    lowercase: bool = False
    table_file: str | None = None
    """As the map has it: relative to the directory of the map."""
    rules: tuple[Rule, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)

    def account_of(self, login: str) -> str | None:
        """The account of a login; None where there is none, or it would be no account."""
        if len(login) > MAX_LOGIN_CHARS:
            return None
        if self.lowercase:
            login = login.lower()
        account = self._found(login)
        return None if account is None or account_fault(account) else account

    def _found(self, login: str) -> str | None:
        known = self.table.get(login)
        if known is not None:
            return known
        if self.table_file is None and not self.rules:
            return login
        return next((account for rule in self.rules if (account := rule.account_of(login)) is not None), None)


def parse_map(text: str) -> Rules:
    """The map without its table. Raises SettingsError, whose text goes on from the name of the file."""
    try:
        found = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"is not TOML: {error}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, detail["loc"]))
        raise SettingsError(f"{place}: {detail['msg']}") from None
    return Rules(found.lowercase, found.table, tuple(_rule(n, rule) for n, rule in enumerate(found.rule, 1)))


def _rule(number: int, rule: _Rule) -> Rule:
    try:
        expression = re.compile(rule.match)
    except (re.error, OverflowError, RecursionError) as error:
        raise SettingsError(f"rule {number}: match is not a regular expression: {error}") from None
    known = {*expression.groupindex, LOGIN_GROUP}
    if LOGIN_GROUP in expression.groupindex:
        raise SettingsError(f"rule {number}: the group {LOGIN_GROUP} is the whole login: use another group name")
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(rule.account)]
    except ValueError as error:
        raise SettingsError(f"rule {number}: account: {error}") from None
    for name, spec, conversion in fields:
        if spec or conversion or (name is not None and name not in known):
            groups = ", ".join(f"{{{each}}}" for each in sorted(known))
            raise SettingsError(f"rule {number}: account has {{{name}}}, and match has only {groups}")
    return Rule(expression, rule.account)


def parse_table(text: str, *, lowercase: bool) -> dict[str, str]:
    """Login -> account, from lines of both with white space between; empty ones and those that begin with # are none.

    Raises SettingsError, whose text goes on from the name of the file.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if number > MAX_TABLE_LINES:
            raise SettingsError(f"has more than {MAX_TABLE_LINES:,} lines")
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise SettingsError(f"line {number}: must be a login and an account")
        login, account = words
        if fault := account_fault(account):
            raise SettingsError(f"line {number}: the account {fault}")
        login = login.lower() if lowercase else login
        if table.setdefault(login, account) != account:
            raise SettingsError(f"line {number}: {login[:MAX_LOGIN_CHARS]} has another account on an earlier line")
    return table
