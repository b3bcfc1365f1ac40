from __future__ import annotations

from pathlib import Path

import pytest

from tidings.errors import SettingsError
from tidings.ops.settings import parse
from tidings.publisher.settings import PublisherSettings


def test_the_ports_of_the_design() -> None:
    settings = parse(PublisherSettings, "tidings publisher", [])
    assert (settings.host, settings.ingest_port, settings.admin_port, settings.probe_port) == (
        "127.0.0.1",
        8081,
        9190,
        9191,
    )
    assert settings.maildir is None
    assert settings.ingest_tokens is None


@pytest.mark.parametrize("flag", ["--ingest-port", "--port"])
def test_the_ingest_port_has_two_names(flag: str) -> None:
    assert parse(PublisherSettings, "tidings publisher", [flag, "7"]).ingest_port == 7


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_INGEST_PORT", "9")
    monkeypatch.setenv("TIDINGS_MAILDIR", "/srv/mail")
    monkeypatch.setenv("TIDINGS_INGEST_TOKENS", "secret")
    settings = parse(PublisherSettings, "tidings publisher", [])
    assert (settings.ingest_port, settings.maildir) == (9, Path("/srv/mail"))
    assert settings.ingest_tokens is not None
    assert "secret" not in repr(settings)


def test_tokens_are_no_flag() -> None:
    with pytest.raises(SettingsError):
        parse(PublisherSettings, "tidings publisher", ["--ingest-tokens", "secret"])


def test_every_field_is_described() -> None:
    assert all(field.description for field in PublisherSettings.model_fields.values())
