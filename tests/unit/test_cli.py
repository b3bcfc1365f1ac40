from __future__ import annotations

import pytest

from tidings.cli import USAGE_EXIT, main, usage


@pytest.mark.parametrize("name", ["redis", "--port", ""])
def test_a_command_that_there_is_not_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == USAGE_EXIT
    assert capsys.readouterr() == ("", f"tidings: there is no command {name!r} (see tidings --help)\n")


def test_without_a_command_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == USAGE_EXIT
    assert capsys.readouterr() == ("", usage())
