from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tidings.errors import SettingsError
from tidings.publisher import accounts
from tidings.publisher.accounts import AccountMap
from tidings.wire.change import EVERY_ACCOUNT, Change, anything_changed

MAP = 'table = "table.txt"\n[[rule]]\nmatch = \'(?P<user>.+)@mail\\.example\'\naccount = "{user}"\n'


def change(login: str) -> Change:
    return Change(login, {"Email": None}, "FlagsSet", "1", "test")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(accounts, "LOOK_SECONDS", 0.02)
    (tmp_path / "table.txt").write_text("bob@else.example u7\n")
    map_file = tmp_path / "map.toml"
    map_file.write_text(MAP)
    return map_file


@asynccontextmanager
async def watched(file: Path) -> AsyncIterator[AccountMap]:
    """A map whose files are looked at."""
    found = AccountMap(file)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


def test_without_a_map_changes_stay_as_they_are() -> None:
    assert AccountMap().mapped([change("alice")]) == [change("alice")]
    assert AccountMap().account_of("alice") == "alice"
    assert AccountMap().account_of("a/b") is None


def test_changes_get_accounts_in_place_of_logins_and_those_without_one_are_left_out(file: Path) -> None:
    everybody = anything_changed(EVERY_ACCOUNT, source="test", event_id="1", ingested=1.0)
    told = [change("alice@mail.example"), change("x@else.example"), everybody, change("bob@else.example")]
    with capture_logs() as logs:
        assert AccountMap(file).mapped(told) == [change("alice"), everybody, change("u7")]
    assert logs == [{"event": "a login has no account", "login": "x@else.example", "times": 1, "log_level": "warning"}]


def test_logins_without_an_account_are_told_at_a_pace(file: Path) -> None:
    found = AccountMap(file)
    with capture_logs() as logs:
        assert not found.mapped([change(f"{number}@else.example") for number in range(100)])
    assert len(logs) == 1


async def test_a_map_is_used_once_the_table_that_it_names_is_there(file: Path) -> None:
    async with watched(file) as found:
        with capture_logs() as logs:
            (file.parent / "map.toml").write_text('table = "new.txt"\n')
            await eventually(lambda: logs)
            assert found.account_of("bob@else.example") == "u7"
            (file.parent / "new.txt").write_text("bob@else.example u9\n")
            await eventually(lambda: found.account_of("bob@else.example") == "u9")
    assert [line["log_level"] for line in logs] == ["error", "info"]


@pytest.mark.parametrize("match", ["a{4294967296}", "(" * 90 + ")" * 90 + "{5000000000}"])
async def test_an_expression_that_python_cannot_take_is_an_error_like_others(file: Path, match: str) -> None:
    async with watched(file) as found:
        with capture_logs() as logs:
            (file.parent / "map.toml").write_text(f"[[rule]]\nmatch = '{match}'\naccount = \"x\"\n")
            await eventually(lambda: logs)
            (file.parent / "map.toml").write_text('[[rule]]\nmatch = ".*"\naccount = "x"\n')
            await eventually(lambda: found.account_of("anybody") == "x")
    assert "rule 1: match is not a regular expression" in logs[0]["error"]


@pytest.mark.parametrize("changed", ["map.toml", "table.txt"])
async def test_files_are_read_again_when_they_change(file: Path, changed: str) -> None:
    async with watched(file) as found:
        text = {"map.toml": MAP.replace("{user}", "new-{user}"), "table.txt": "alice@mail.example new-alice"}[changed]
        (file.parent / changed).write_text(text)
        await eventually(lambda: found.account_of("alice@mail.example") == "new-alice")


async def test_of_a_map_that_is_wrong_the_earlier_one_stays_valid(file: Path) -> None:
    async with watched(file) as found:
        with capture_logs() as logs:
            (file.parent / "table.txt").write_text("nonsense\n")
            await eventually(lambda: logs)
            (file.parent / "table.txt").unlink()
            await eventually(lambda: len(logs) == 2)
            assert found.account_of("bob@else.example") == "u7"
            (file.parent / "table.txt").write_text("bob@else.example u8\n")
            await eventually(lambda: found.account_of("bob@else.example") == "u8")
    assert [line["log_level"] for line in logs] == ["error", "error", "info"]
    assert "table.txt: line 1: must be a login and an account" in logs[0]["error"]
    assert "cannot be read: No such file" in logs[1]["error"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "is not UTF-8"),
        (b"a" * 65, "is longer than 64 bytes"),
        (b"rules = 1", "rules: Extra inputs"),
        (b'table = "none.txt"', "none.txt: cannot be read: No such file"),
    ],
)
def test_a_map_that_is_wrong_at_the_start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    monkeypatch.setattr(accounts, "MAX_FILE_BYTES", 64)
    file = tmp_path / "map.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^--account-map \(TIDINGS_ACCOUNT_MAP\) .*map\.toml: ") as error:
        AccountMap(file)
    assert said in str(error.value)


def test_a_map_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"map\.toml: cannot be read: No such file"):
        AccountMap(tmp_path / "map.toml")
