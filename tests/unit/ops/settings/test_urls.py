from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from tidings.ops.settings.urls import BaseUrl, BusUrl, CollectorUrl, GroupUrlOrNone, HttpsUrl, PostgresUrl, each_host

BASE: TypeAdapter[str] = TypeAdapter(BaseUrl)
HTTPS: TypeAdapter[str] = TypeAdapter(HttpsUrl)
GROUPS: TypeAdapter[str] = TypeAdapter(GroupUrlOrNone)
BUS: TypeAdapter[str] = TypeAdapter(BusUrl)
COLLECTOR: TypeAdapter[str] = TypeAdapter(CollectorUrl)
POSTGRES: TypeAdapter[str] = TypeAdapter(PostgresUrl)


def fault(kind: TypeAdapter[str], url: str) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.validate_python(url)
    (detail,) = caught.value.errors()
    return detail["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "http://localhost:8080",
        "https://mail.example/",
        "http://[::1]:8080",
        "http://gateway_1:80",
        "https://bücher.example",
    ],
)
def test_urls_of_services(url: str) -> None:
    assert BASE.validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", "'localhost:8080' has no scheme: write http://localhost:8080"),
        ("localhost", "'localhost' has no scheme: write http://localhost"),
        ("127.0.0.1:8080/", "has no scheme: write http://127.0.0.1:8080/"),
        ("[::1]:8080", "has no scheme: write http://[::1]:8080"),
        ("mail.example", "has no scheme: write http://mail.example"),
        ("::1", "has no scheme: the URL must begin with http://"),
        (":8080", "has no scheme: the URL must begin with http://"),
        ("8080", "has no scheme: write http://8080"),
        ("//localhost:8080", "has no scheme: the URL must begin with http://"),
        ("http:/localhost", "has no scheme: the URL must begin with http://"),
        ("http//localhost", "has no scheme: the URL must begin with http://"),
        ("http:localhost", "has no scheme: the URL must begin with http://"),
        ("/jmap/ws", "has no scheme: the URL must begin with http://"),
        ("ht tp://localhost", "has no scheme: the URL must begin with http://"),
        ("ws://localhost:8080", "begins with ws://, and must begin with http:// or https://"),
        ("ftp://x", "begins with ftp://"),
        ("http://", "names no host"),
        ("http:///jmap", "names no host"),
        ("http://:8080", "names no host"),
        ("http://localhost:", "has a host name that is not valid"),
        ("http://localhost:x", "a port from 1 to 65535 behind the colon"),
        ("http://localhost:99999", "a port from 1 to 65535 behind the colon"),
        ("http://localhost:0", "has port 0, which nothing can connect to"),
        ("http://::1:8080", "a port from 1 to 65535 behind the colon"),
        ("http://[::1", "a port from 1 to 65535 behind the colon"),
        ("http://local host", "has a host name that is not valid"),
        ('https://a"<x>', "has a host name that is not valid"),
        ("https://a,https://b", "has a host name that is not valid"),
        ("http://a..b", "has a host name that is not valid"),
        ("http://bü..ch", "has a host name that is not valid"),
        (f"http://{'x' * 64}.example", "has a host name that is not valid"),
        ("http://localhost:8080/jmap", "must end after host and port: http://localhost:8080"),
        ("http://localhost:8080?", "must end after host and port"),
        ("http://localhost:8080/#x", "must end after host and port"),
        ("http://user@localhost", "the URL must not hold a user name or a password"),
        ("user:hunter2@localhost", "the URL has no scheme: the URL must begin with http://"),
        ("http://localhost?token=hunter2", "the URL must end after host and port: http://localhost"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_so_that_a_person_can_mend_it(url: str, said: str) -> None:
    told = fault(BASE, url)
    assert told.endswith(said) or said in told
    assert told.startswith((f"{url!r} ", "the URL "))
    assert "hunter2" not in told


@pytest.mark.parametrize("url", ["", "https://push{group}.mail.example", "http://127.0.0.1:808{group}"])
def test_urls_of_groups(url: str) -> None:
    assert GROUPS.validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://mail.example", "must contain {group}, as in https://push{group}.mail.example"),
        ("https://push{Group}.mail.example", "must contain {group}"),
        ("https://push{group}.{}.example", "has a host name that is not valid"),
        ("https://mail.example/g/{group}", "must end after host and port"),
        ("push{group}.mail.example", "has no scheme"),
        ("ht{group}p://mail.example", "begins with ht0p://"),
    ],
)
def test_urls_that_are_none_of_groups(url: str, said: str) -> None:
    assert said in fault(GROUPS, url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("id.example/keys", "has no scheme: the URL must begin with https://"),
        ("id.example", "has no scheme: write https://id.example"),
        ("http://id.example/keys", "must be https://...: over http, an attacker could replace the keys"),
        ("https:///keys", "names no host"),
    ],
)
def test_addresses_of_keys(url: str, said: str) -> None:
    assert said in fault(HTTPS, url)
    assert HTTPS.validate_python("https://id.example/keys?v=1") == "https://id.example/keys?v=1"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("broker:5672", "'broker:5672' has no scheme: write amqp://broker:5672"),
        ("memory", "has no scheme"),
        ("http://broker:15672", "must be memory://, amqp://user:password@host:port/vhost or amqps://..."),
        ("amqp://", "names no host"),
        ("amqps://user:hunter2@/", "names no host; in user and password, percent-encode : / ? # [ ] @"),
        ("amqp://user:hunter2#x@broker/", "percent-encode : / ? # [ ] @"),
        ("amqp://user:hunter2@broker:99999/", "a port from 1 to 65535"),
        ("user:hunter2@broker", "has no scheme: the URL must begin with amqp://"),
        ("amqp://user:hunter2@one,two:99999/", "a port from 1 to 65535"),
        ("amqp://user:hunter2@one,/", "names no host"),
        ("amqp://user:hunter2@one,,two/", "names no host"),
    ],
)
def test_addresses_of_the_log(url: str, said: str) -> None:
    told = fault(BUS, url)
    assert said in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "amqp://broker",
        "AMQP://a/",
        "amqps://u:p%40w@broker:5671/v%2Fhost",
        "amqp://[::1]:5672/",
        "amqp://u:p,w@a:1,[::1],b:2/v",
    ],
)
def test_addresses_of_the_log_that_are_taken(url: str) -> None:
    assert BUS.validate_python(url) == url


def test_a_url_of_several_hosts_is_one_for_each() -> None:
    assert each_host("AMQP://u:p,w@amqp:5671,[::1],b:2/v?cafile=a,b") == [
        "AMQP://u:p,w@amqp:5671/v?cafile=a,b",
        "AMQP://u:p,w@[::1]/v?cafile=a,b",
        "AMQP://u:p,w@b:2/v?cafile=a,b",
    ]
    assert each_host("amqp://a") == ["amqp://a"]


def test_a_long_url_is_not_repeated_whole() -> None:
    assert len(fault(BASE, "x" * 10_000)) < 10_200
    assert "x" * 101 not in fault(BASE, "x/" * 10_000)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://tidings@db/mail", "the URL must be postgresql://user@host:port/database"),
        ("db.example/mail", "'db.example/mail' must begin with postgresql://"),
    ],
)
def test_addresses_of_postgresql(url: str, said: str) -> None:
    assert fault(POSTGRES, url) == said


@pytest.mark.parametrize(
    "url", ["postgresql://tidings@db.example:5432/mail", "postgres://db/mail", "postgresql:///mail"]
)
def test_addresses_of_postgresql_that_are_taken(url: str) -> None:
    assert POSTGRES.validate_python(url) == url


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://collector:4318", "http://collector:4318"),
        ("https://traces.example/", "https://traces.example"),
        ("https://traces.example/otlp/", "https://traces.example/otlp"),
    ],
)
def test_urls_of_collectors(url: str, meant: str) -> None:
    assert COLLECTOR.validate_python(url) == meant


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("collector:4318", "has no scheme: write http://collector:4318"),
        ("grpc://collector:4317", "begins with grpc://, and must begin with http:// or https://"),
        (
            "http://user:secret@collector",
            "must not hold a user name or a password: put them into OTEL_EXPORTER_OTLP_HEADERS",
        ),
        ("http://collector?token=secret", "must end after its path"),
        ("http://collector:4318/v1/traces", "must end before /v1/traces, which is added to it"),
    ],
)
def test_what_is_no_url_of_a_collector(url: str, said: str) -> None:
    assert said in fault(COLLECTOR, url)
    assert "secret" not in fault(COLLECTOR, url)
