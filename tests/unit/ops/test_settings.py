from __future__ import annotations

import pytest
from pydantic import ValidationError

from tidings.errors import SettingsError
from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings import is_secret, parse


def gateway(*argv: str) -> GatewaySettings:
    return parse(GatewaySettings, "tidings gateway", argv)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"TIDINGS_{name.upper()}", raising=False)


def test_defaults_are_the_documented_ones() -> None:
    settings = gateway()
    assert (settings.host, settings.port, settings.admin_port, settings.probe_port) == ("127.0.0.1", 8080, 9090, 9091)
    assert (settings.bus, settings.shards, settings.auth, settings.coalesce_ms) == ("memory://", 64, "none", 100)


def test_a_flag_beats_its_variable_and_that_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_COALESCE_MS", "7")
    monkeypatch.setenv("TIDINGS_PORT", "1000")
    settings = gateway("--port", "2000")
    assert (settings.coalesce_ms, settings.port) == (7, 2000)


def test_origins_can_be_repeated_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gateway("--allow-origin", "https://a,https://b", "--allow-origin", "https://c").allow_origin == (
        "https://a",
        "https://b",
        "https://c",
    )
    monkeypatch.setenv("TIDINGS_ALLOW_ORIGIN", "https://d, https://e")
    assert gateway().allow_origin == ("https://d", "https://e")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port", "x"], "--port (TIDINGS_PORT): input should be a valid integer"),
        (["--port", "65536"], "--port (TIDINGS_PORT): input should be less than or equal to 65535"),
        (["--coalesce-ms", "-1"], "--coalesce-ms (TIDINGS_COALESCE_MS)"),
        (["--shards", "0"], "--shards"),
        (["--auth", "basic"], "--auth"),
        (["--bus", "redis://x"], "--bus (TIDINGS_BUS): must be memory://, amqp://"),
        (["--bus", "amqp://"], "--bus"),
        (
            ["--allow-origin", "https://a,mail.example"],
            "--allow-origin (TIDINGS_ALLOW_ORIGIN): 'mail.example' is no",
        ),
        (["--allow-origin", "https://mail.example/inbox"], "--allow-origin"),
        (["--allow-origin", "*"], "--allow-origin"),
        (["--public-url", "ftp://x"], "--public-url"),
        (["--public-url", "https://x/?y"], "--public-url"),
        (["--nonsense"], "unrecognized arguments: --nonsense (see tidings gateway --help)"),
        (["--por", "1"], "unrecognized arguments: --por"),
        (["extra"], "unrecognized arguments: extra"),
        (["--port"], "argument --port: expected one argument"),
        (["--jwt-secret", "s3cret"], "set TIDINGS_JWT_SECRET"),
        (["--jwt-secret=s3cret"], "set TIDINGS_JWT_SECRET"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_the_flag(argv: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        gateway(*argv)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        gateway("--bus", "ampq://user:hunter2@broker/")
    assert "hunter2" not in str(caught.value)


def test_help_lists_every_flag_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gateway("--help")
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "usage: tidings gateway" in printed
    for name in GatewaySettings.model_fields:
        assert (f"--{name.replace('_', '-')}" in printed) is not is_secret(GatewaySettings, name)


def test_settings_are_frozen_and_hide_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_JWT_SECRET", "hunter2")
    settings = gateway()
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_every_field_is_described() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())
