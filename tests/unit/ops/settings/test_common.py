from __future__ import annotations

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from tidings.errors import SettingsError
from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.common import parse
from tidings.ops.settings.fields import is_secret, variables


def gateway(*argv: str) -> GatewaySettings:
    return parse(GatewaySettings, "tidings gateway", argv)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(f"TIDINGS_{name.upper()}", raising=False)


def test_defaults_are_the_documented_ones() -> None:
    settings = gateway()
    assert (settings.host, settings.port, settings.admin_port, settings.probe_port) == ("127.0.0.1", 8080, 9090, 9091)
    assert (settings.bus, settings.shards, settings.auth, settings.coalesce_ms) == ("memory://", 16, "none", 100)


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
        (["--bus", "redis://x"], "--bus (TIDINGS_BUS): 'redis://x' must be memory://, amqp://"),
        (["--bus", "amqp://"], "--bus"),
        (
            ["--allow-origin", "https://a,mail.example"],
            "--allow-origin (TIDINGS_ALLOW_ORIGIN): 'mail.example' is no",
        ),
        (["--allow-origin", "https://mail.example/inbox"], "--allow-origin"),
        (["--allow-origin", "*"], "--allow-origin"),
        (["--public-url", "ftp://x"], "--public-url"),
        (["--public-url", "https://x/?y"], "--public-url"),
        (["--xyzzy"], "there is no flag --xyzzy (see tidings gateway --help)"),
        (["--por", "1"], "there is no flag --por: did you mean --port? (see tidings gateway --help)"),
        (["--max-conections", "1"], "did you mean --max-connections"),
        (["extra"], "unexpected extra argument (extra)"),
        (["--port"], "--port' requires an argument"),
        (["--jwt-issuer", "--insecure"], "--jwt-issuer needs a value (see tidings gateway --help)"),
        (["--insecure=yes"], "--insecure"),
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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HEAD_SECONDS", "1e-9", "--head-seconds (TIDINGS_HEAD_SECONDS): input should be greater than or equal to 0.1"),
        ("HEAD_SECONDS", "nan", "--head-seconds"),
        ("PING_SECONDS", "1e-9", "greater than or equal to 0.1"),
        ("PING_SECONDS", "inf", "--ping-seconds"),
        ("RESYNC_RATE", "1e-300", "must be 0, or at least 0.001"),
        ("RESYNC_RATE", "inf", "--resync-rate (TIDINGS_RESYNC_RATE): input should be a finite number"),
        ("RESYNC_RATE", "1e300", "less than or equal to 1000000"),
        ("RESYNC_RATE", "nan", "--resync-rate"),
        ("MAX_CONNECTION_AGE", "1e-9", "must be 0, or at least 1"),
        ("MAX_CONNECTION_AGE", "nan", "--max-connection-age"),
        ("MAX_CONNECTIONS", "1" * 30, "less than or equal to 1000000000"),
        ("MAX_CONNECTIONS_PER_ACCOUNT", "1" * 30, "less than or equal to 1000000000"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "1" * 30, "less than or equal to 1000000000"),
        ("MAX_UPGRADES_PER_SECOND", "1" * 30, "less than or equal to 1000000000"),
        ("MAX_MESSAGES_PER_SECOND", "1" * 30, "less than or equal to 1000000000"),
        ("MAX_MESSAGE_BYTES", "1", "--max-message-bytes"),
        (
            "MEMORY_LIMIT_BYTES",
            "512",
            "--memory-limit-bytes (TIDINGS_MEMORY_LIMIT_BYTES): must be 0, or at least 134217728",
        ),
        ("MEMORY_LIMIT_BYTES", "1" * 30, "--memory-limit-bytes"),
        ("COALESCE_MS", "nan", "--coalesce-ms"),
        ("COALESCE_MS", "1e9", "--coalesce-ms"),
        ("DRAIN_SECONDS", "inf", "--drain-seconds"),
        ("DRAIN_DELAY_SECONDS", "nan", "--drain-delay-seconds"),
        ("WORKERS", "", "--workers (TIDINGS_WORKERS): is empty: leave it out to have the default"),
        ("INSECURE", " ", "--insecure (TIDINGS_INSECURE): is empty"),
        ("HOST", "", "--host (TIDINGS_HOST): is empty"),
        ("JWT_ISSUER", "", "--jwt-issuer (TIDINGS_JWT_ISSUER): is empty"),
        ("JWT_KEY", "", "--jwt-key (TIDINGS_JWT_KEY): is empty"),
        ("JWKS_URL", "", "--jwks-url (TIDINGS_JWKS_URL): is empty"),
        ("BUS", "amqp://u:p\nw@h/", "--bus (TIDINGS_BUS): holds a control character"),
        ("TRUSTED_PROXY", "10.0.0.1/8", "'10.0.0.1/8' is not a network: write 10.0.0.0/8"),
        ("TRUSTED_PROXY", "10.0.0.0/8, all", "'all' is not a network, such as 10.0.0.0/8 or fd00::/8"),
        ("TRUSTED_PROXY", "0.0.0.0/0", "--trusted-proxy (TIDINGS_TRUSTED_PROXY): 0.0.0.0/0 is every address"),
        ("TRUSTED_PROXY", "128.0.0.0/1, 10.0.0.0/8, 0.0.0.0/1", "0.0.0.0/0 is every address"),
        ("TRUSTED_PROXY", "10.0.0.0/8, ::/0", "::/0 is every address"),
        ("JWT_SECRET", "short", "TIDINGS_JWT_SECRET has 5 bytes, and HS256 needs 32 at least (RFC 7518 section 3.2)"),
        ("JWT_SECRET", "x" * 31, "TIDINGS_JWT_SECRET has 31 bytes"),
        ("JWT_SECRET", "x" * 32 + "\n", "TIDINGS_JWT_SECRET ends with a newline, which would be part of the secret"),
        ("JWT_SECRET", "x" * 32 + " ", "TIDINGS_JWT_SECRET begins or ends with white space"),
        ("JWT_SECRET", " ", "TIDINGS_JWT_SECRET begins or ends with white space"),
        ("ADMIN_TOKEN", "", "TIDINGS_ADMIN_TOKEN has 0 characters, and needs 16 at least"),
        ("ADMIN_TOKEN", "x" * 15, "TIDINGS_ADMIN_TOKEN has 15 characters"),
        ("ADMIN_TOKEN", "x" * 16 + "\n", "TIDINGS_ADMIN_TOKEN ends with a newline"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_the_reason(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(GatewaySettings, "tidings gateway", [], {f"TIDINGS_{name}": value})
    assert said in str(caught.value)
    assert str(caught.value).count("TIDINGS_") == 1, "what is wrong is said once"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--port 9090", "--admin-port (TIDINGS_ADMIN_PORT) and --port (TIDINGS_PORT) are both 9090"),
        ("--admin-port 9091", "are both 9091: each listener needs a port of its own"),
        ("--max-connections 5 --max-connections-per-account 6", "is 6, and can never be reached: --max-connections"),
        ("--max-connections 5 --max-connections-per-address 6", "is 6, and can never be reached: --max-connections"),
        ("--max-connection-age 10 --coalesce-ms 60000", "ends a connection before --coalesce-ms"),
        ("--memory-limit-bytes 200000000 --workers 2 --bus amqp://h/", "leaves 100000000 bytes to each of --workers"),
        ("--memory-limit-bytes 134217728 --max-message-bytes 16777216", "is more than half of the 16777216 bytes"),
        ("--workers 2", "a memory:// log reaches no other worker"),
        ("--groups 9 --shards 8", "the groups beyond that have no shard to read"),
        ("--group-url https://push{group}.mail.example", "needs --groups (TIDINGS_GROUPS) of 2 or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(flags: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        gateway(*flags.split())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "settings"),
    [
        ("RESYNC_RATE", "-0.0", {"resync_rate": 0.0}),
        ("RESYNC_RATE", "0.001", {"resync_rate": 0.001}),
        ("HEAD_SECONDS", "0.1", {"head_seconds": 0.1}),
        ("MAX_CONNECTION_AGE", "1", {"max_connection_age": 1.0}),
        ("WORKERS", " 1 ", {"workers": 1}),
        ("HOST", "localhost\n", {"host": "localhost"}),
        ("ALLOW_ORIGIN", "", {"allow_origin": ()}),
        ("TRUSTED_PROXY", "", {"trusted_proxy": ()}),
        (
            "TRUSTED_PROXY",
            "10.0.0.0/8,fd00::/8",
            {"trusted_proxy": (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))},
        ),
        ("PUBLIC_URL", "", {"public_url": ""}),
        ("GROUP_URL", "", {"group_url": ""}),
        ("PUBLIC_URL", "HTTPS://Mail.example:443", {"public_url": "https://Mail.example:443"}),
        ("JWT_SECRET", "", {"jwt_secret": None}),
        ("BUS", "amqp://u:p%23x@[::1]:5672/vhost", {"bus": "amqp://u:p%23x@[::1]:5672/vhost"}),
        ("BUS", "MEMORY://", {"bus_in_memory": True}),
        ("ADMIN_HOST", "10.0.0.1", {"admin_port": 9090}),
    ],
)
def test_what_can_be_meant_is_taken(name: str, value: str, settings: dict[str, object]) -> None:
    found = parse(GatewaySettings, "tidings gateway", [], {f"TIDINGS_{name}": value})
    assert {each: getattr(found, each) for each in settings} == settings


def test_listeners_on_different_addresses_may_share_a_port() -> None:
    assert gateway("--host", "10.0.0.1", "--port", "9090").port == 9090
    with pytest.raises(SettingsError, match="both 9090"):
        gateway("--host", "0.0.0.0", "--port", "9090")


def test_everything_that_is_wrong_is_said_in_the_order_of_the_flags() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(GatewaySettings, "tidings gateway", ["--port", "x"], {"TIDINGS_AUTH": "y"})
    faults = str(caught.value).split("; ")
    assert [fault.partition(" ")[0] for fault in faults] == ["--auth", "--port"]


def test_help_lists_every_flag_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gateway("--help")
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "usage: tidings gateway" in printed
    for name in GatewaySettings.model_fields:
        assert (f"--{name.replace('_', '-')}" in printed) is not is_secret(GatewaySettings, name)


def test_settings_are_frozen_and_hide_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_JWT_SECRET", "hunter2" * 5)
    settings = gateway()
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == "hunter2" * 5
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_every_field_is_described() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())


def test_every_field_has_a_variable() -> None:
    assert "TIDINGS_JWT_SECRET" in variables(GatewaySettings)
    assert len(variables(GatewaySettings)) == len(GatewaySettings.model_fields)
