from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import SettingsError
from tidings.publisher import account_rules
from tidings.publisher.account_rules import MAX_LOGIN_CHARS, Rules, parse_map, parse_table
from tidings.wire.change import account_fault

MAP = r"""
lowercase = true
table = "accounts.txt"
[[rule]]
match = '(?P<user>[^@+]+)(?:\+(?P<tag>[^@]*))?@mail\.example'
account = "{user}"
[[rule]]
match = '[^@]+'
account = "{login}@other.example"
"""
TABLE = """
# logins of old
Bob@Mail.Example   u1042

postmaster@else.example	admins
"""


def rules(text: str = MAP, table: str = "") -> Rules:
    found = parse_map(text)
    return Rules(found.lowercase, found.table_file, found.rules, parse_table(table, lowercase=found.lowercase))


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ("Alice@MAIL.example", "alice"),
        ("alice+lists@mail.example", "alice"),
        ("bob@mail.example", "u1042"),
        ("postmaster@else.example", "admins"),
        ("carol", "carol@other.example"),
        ("carol@else.example", None),
        ("alice@mail.example.", None),
        ("", None),
    ],
)
def test_the_table_goes_before_the_rules_and_the_first_rule_before_the_next(login: str, account: str | None) -> None:
    assert rules(table=TABLE).account_of(login) == account


@given(st.text(max_size=400))
def test_without_a_map_a_login_is_its_account_if_it_can_be_one(login: str) -> None:
    too_long = len(login) > MAX_LOGIN_CHARS
    assert Rules().account_of(login) == (None if too_long or account_fault(login) else login)


def test_what_a_rule_makes_has_to_be_an_account() -> None:
    found = rules("[[rule]]\nmatch='(?P<a>.*):(?P<b>.*)'\naccount='{a}/{b}'")
    assert found.account_of("x:y") is None


def test_a_group_that_took_no_part_is_nothing() -> None:
    found = rules("[[rule]]\nmatch='(?P<a>x)|(?P<b>y)'\naccount='<{a}{b}>'")
    assert [found.account_of(login) for login in "xy"] == ["<x>", "<y>"]


def test_a_login_that_is_too_long_is_not_matched() -> None:
    found = rules("[[rule]]\nmatch='.*'\naccount='all'")
    assert found.account_of("a" * MAX_LOGIN_CHARS) == "all"
    assert found.account_of("a" * (MAX_LOGIN_CHARS + 1)) is None


def test_a_map_of_the_case_alone() -> None:
    assert rules("lowercase = true").account_of("Alice") == "alice"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lowercase = ", "is not TOML: Invalid value"),
        ("lowercase = 1", "lowercase: Input should be a valid boolean"),
        ("rules = []", "rules: Extra inputs"),
        ("[[rule]]\nmatch='a'", "rule.0.account: Field required"),
        ("[[rule]]\nmatch='('\naccount='a'", "rule 1: match is not a regular expression: missing"),
        ("[[rule]]\nmatch='(?P<login>a)'\naccount='a'", "rule 1: the group login is the whole login"),
        (
            "[[rule]]\nmatch='(?P<user>a)'\naccount='{usr}'",
            "rule 1: account has {usr}, and match has only {login}, {user}",
        ),
        ("[[rule]]\nmatch='a'\naccount='{}'", "rule 1: account has {}"),
        ("[[rule]]\nmatch='a'\naccount='{login.__class__}'", "rule 1: account has {login.__class__}"),
        ("[[rule]]\nmatch='a'\naccount='{login!r}'", "rule 1: account has {login}"),
        ("[[rule]]\nmatch='a'\naccount='{login:>99999999}'", "rule 1: account has {login}"),
        ("[[rule]]\nmatch='a'\naccount='{'", "rule 1: account: "),
        ("[[rule]]\nmatch='a'\naccount='a'\n" * 101, "rule: List should have at most 100 items"),
    ],
)
def test_what_is_wrong_with_a_map(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_map(text)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice", "line 1: must be a login and an account"),
        ("\nalice a b", "line 2: must be a login and an account"),
        ("alice a/b", "line 1: the account must not contain '/'"),
        ("Alice a\nalice b", "line 2: alice has another account on an earlier line"),
        ("a b\n" * 4, "has more than 3 lines"),
    ],
)
def test_what_is_wrong_with_a_table(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_rules, "MAX_TABLE_LINES", 3)
    with pytest.raises(SettingsError) as error:
        parse_table(text, lowercase=True)
    assert str(error.value) == said


def test_logins_of_a_table_may_differ_in_case_alone() -> None:
    assert parse_table("Alice a\nalice b", lowercase=False) == {"Alice": "a", "alice": "b"}
