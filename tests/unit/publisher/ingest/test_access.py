from __future__ import annotations

from base64 import b64encode

import pytest

from tidings.errors import RequestRejected, SettingsError
from tidings.publisher.ingest.access import IngestAccess, ingest_access
from tidings.publisher.settings import PublisherSettings

ONE = "one-token-of-two"
TWO = "zwei:üüüüüüüüüüü"


def settings(**members: object) -> PublisherSettings:
    return PublisherSettings.model_validate(members)


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def code(access: IngestAccess, **headers: str) -> int:
    try:
        access.admit(headers)
    except RequestRejected as error:
        return error.code
    return 200


@pytest.fixture
def with_tokens() -> IngestAccess:
    return ingest_access(settings(host="0.0.0.0", ingest_tokens=f" {ONE}, {TWO} "))


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bearer {ONE}",
        f"bearer  {ONE} ",
        basic("", ONE),
        basic("dovecot", ONE),
        basic("dovecot", TWO),
        f"Bearer {TWO}".encode().decode("latin-1"),
    ],
)
def test_any_token_admits(with_tokens: IngestAccess, authorization: str) -> None:
    assert code(with_tokens, authorization=authorization, origin="https://x.example", host="x.example") == 200


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        ONE,
        "Bearer",
        "Bearer ",
        f"Bearer {ONE[:-1]}",
        f"Bearer {ONE},{TWO}",
        f"Bearer {ONE.upper()}",
        f"Digest {ONE}",
        f"Basic {ONE}",
        "Basic =",
        "Basic ä€",
        basic(ONE, ""),
        basic(ONE, "two"),
        "Basic " + b64encode(ONE.encode()).decode(),
    ],
)
def test_anything_else_is_401(with_tokens: IngestAccess, authorization: str) -> None:
    assert code(with_tokens, authorization=authorization) == 401
    assert code(with_tokens) == 401


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST:1", "mail.localhost"])
def test_without_tokens_programs_on_this_machine_are_admitted(host: str) -> None:
    assert code(ingest_access(settings()), host=host) == 200


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:81", "10.0.0.1", "127.0.0.1.evil.example", "[::1"])
def test_without_tokens_other_names_are_refused(host: str) -> None:
    assert code(ingest_access(settings()), host=host) == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8080", ""])
def test_without_tokens_web_pages_are_refused(origin: str) -> None:
    assert code(ingest_access(settings()), host="localhost", origin=origin) == 403


def test_without_tokens_the_network_is_refused() -> None:
    with pytest.raises(SettingsError, match="TIDINGS_INGEST_TOKENS"):
        ingest_access(settings(host="0.0.0.0"))


def test_insecure_means_it_but_not_for_web_pages() -> None:
    access = ingest_access(settings(host="0.0.0.0", insecure=True))
    assert code(access, host="publisher.example") == 200
    assert code(access, host="publisher.example", origin="https://evil.example") == 403
