from __future__ import annotations

import pytest

from tidings.check.settings import CheckSettings
from tidings.errors import SettingsError
from tidings.ops.settings.common import parse


def check(*flags: str, **environ: str) -> CheckSettings:
    return parse(CheckSettings, "tidings check", flags, environ)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--gateway-url", "localhost:8080"],
            "--gateway-url (TIDINGS_GATEWAY_URL): 'localhost:8080' has no scheme: write http://localhost:8080",
        ),
        (["--gateway-url", "http://a,b:1"], "'b:1' has no scheme: write http://b:1"),
        (
            ["--gateway-url", "http://a", "--gateway-url", "ws://b"],
            "'ws://b' begins with ws://, and must begin with http",
        ),
        (["--ingest-url", "http://h/v1/changes"], "'http://h/v1/changes' must end after host and port: http://h"),
        (["--ingest-url", ""], "--ingest-url (TIDINGS_INGEST_URL): must be a URL"),
        (["--seconds", "nan"], "--seconds (TIDINGS_SECONDS): input should be a finite number"),
        (["--seconds", "inf"], "--seconds"),
        (["--seconds", "1e-9"], "must be 0, or at least 0.1"),
        (["--rate", "1e-9"], "--rate (TIDINGS_RATE)"),
        (["--seconds", "5", "--rate", "0.1"], "end before the first change at --rate (TIDINGS_RATE)"),
        (["--timeout-seconds", "1e-9"], "--timeout-seconds (TIDINGS_TIMEOUT_SECONDS)"),
        (["--timeout-seconds", "1e9"], "--timeout-seconds"),
        (["--seed", "9" * 30], "--seed"),
        (["--accounts", "0"], "--accounts"),
        (["--clients", "1" * 9], "--clients"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(flags: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check(*flags)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"TIDINGS_INGEST_TOKEN": "short"}, "TIDINGS_INGEST_TOKEN has 5 characters, and needs 16 at least"),
        ({"TIDINGS_INGEST_TOKEN": "a-token-that-is-long\n"}, "TIDINGS_INGEST_TOKEN ends with a newline"),
        ({"TIDINGS_CLIENT_TOKEN": "x.y.z\n"}, "TIDINGS_CLIENT_TOKEN ends with a newline"),
        ({"TIDINGS_CLIENT_TOKEN": ""}, "TIDINGS_CLIENT_TOKEN is empty"),
        ({"TIDINGS_JWT_SECRET": "short"}, "TIDINGS_JWT_SECRET has 5 bytes"),
        ({"TIDINGS_JWT_SECRET": "x" * 32, "TIDINGS_CLIENT_TOKEN": "x.y.z"}, "give one of them"),
    ],
)
def test_secrets_that_cannot_work_are_refused_with_the_reason(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check(**environ)


def test_urls_are_repeated_or_listed() -> None:
    settings = check("--gateway-url", "http://a:1, http://b:2", "--gateway-url", "https://c/")
    assert settings.gateway_url == ("http://a:1", "http://b:2", "https://c/")
    assert check(TIDINGS_INGEST_URL="http://a,http://b").ingest_url == ("http://a", "http://b")
