from __future__ import annotations

import re

import pytest

from tidings.check.settings import CheckSettings
from tidings.commands.settings import UpSettings
from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.common import OpsSettings, parse
from tidings.ops.settings.fields import Settings, is_secret, variable
from tidings.publisher.settings import PublisherSettings
from tidings.webmail.settings import WebmailSettings

COMMANDS = [UpSettings, GatewaySettings, PublisherSettings, WebmailSettings, CheckSettings]


@pytest.fixture
def printed(settings: type[Settings], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(settings, "tidings some", ["--help"], {})
    assert caught.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("settings", COMMANDS)
def test_values_have_the_names_of_things_and_not_of_types(printed: str) -> None:
    lines = re.findall(r"^  (--.*?)(?:  |$)", printed, re.MULTILINE)
    values = {line.rpartition(" ")[2] for line in lines if " " in line}
    assert not values & {"int", "float", "str", "Path", "INTEGER", "FLOAT"}
    assert not re.search(r"tuple|Path\b|NoneType|Literal", printed)


@pytest.mark.parametrize("settings", COMMANDS[:-1])
def test_the_port_is_the_first_flag(printed: str) -> None:
    first = re.findall(r"^  (--\S.*?) PORT", printed, re.MULTILINE)[0]
    assert "--port" in first
    assert printed.index("--port") == printed.index("--") or "--ingest-port, --port" in printed


@pytest.mark.parametrize("settings", COMMANDS)
def test_flags_are_in_groups(printed: str, settings: type[Settings]) -> None:
    titles = re.findall(r"^(\S.*):$", printed, re.MULTILINE)
    expected = ["Change log", *(["Admin and probe ports, profiles"] if issubclass(settings, OpsSettings) else [])]
    assert len(titles) >= 4
    assert titles[-1] == "Help"
    assert [title for title in titles if title in expected] == [title for title in expected if title in titles]
    assert titles.index("Change log") > 0 if "Change log" in titles else settings is WebmailSettings


@pytest.mark.parametrize("settings", COMMANDS)
def test_secrets_are_listed_by_their_variables(printed: str, settings: type[Settings]) -> None:
    _, _, listed = printed.partition("Secrets, from the environment only")
    for name in settings.model_fields:
        assert (f"  {variable(name)}  " in listed) == is_secret(settings, name)


@pytest.mark.parametrize("settings", [GatewaySettings])
def test_defaults_and_choices_are_shown(printed: str) -> None:
    text = " ".join(printed.split())
    assert "--port PORT port that clients connect to; 0 for any free one (default: 8080)" in text
    assert (
        "--auth none|jwt none: the client names its account; jwt: a token says which accounts (default: none)" in text
    )
    assert "--insecure allow a listener without authentication off loopback --allow-origin ORIGIN" in text


@pytest.mark.parametrize("settings", [CheckSettings])
def test_a_default_that_is_a_list_is_shown_as_it_is_given(printed: str) -> None:
    assert "(default: http://127.0.0.1:8081)" in " ".join(printed.split())


def test_the_last_of_several_values_counts() -> None:
    assert parse(GatewaySettings, "x", ["--port", "1", "--port=2"], {}).port == 2
