"""CORS fields."""

from __future__ import annotations

import pytest

from tidings.gateway.codecs import cors


def test_without_an_origin_nothing_is_said() -> None:
    assert cors.response_fields({"host": "a"}) == {}


def test_an_origin_may_read_the_answer_and_its_entity_tag() -> None:
    fields = cors.response_fields({"origin": "https://mail.example"})
    assert fields["Access-Control-Allow-Origin"] == "https://mail.example"
    assert fields["Access-Control-Allow-Credentials"] == "true"
    assert "ETag" in fields["Access-Control-Expose-Headers"]
    assert fields["Vary"] == "Origin"


def preflight(asked: str | None) -> list[str]:
    headers = {"origin": "https://mail.example"}
    if asked is not None:
        headers["access-control-request-headers"] = asked
    fields = cors.preflight_fields(headers)
    assert fields["Access-Control-Allow-Origin"] == "https://mail.example"
    assert fields["Access-Control-Allow-Methods"] == "GET, HEAD"
    return fields["Access-Control-Allow-Headers"].split(", ")


def test_a_preflight_allows_what_the_endpoints_read() -> None:
    assert preflight(None) == ["Authorization", "If-None-Match", "Last-Event-ID"]


def test_a_preflight_allows_any_other_header_that_is_asked_for() -> None:
    asked = "authorization,cache-control,traceparent, X-Request-Id ,baggage,sentry-trace,traceparent"
    assert preflight(asked)[3:] == ["cache-control", "traceparent", "x-request-id", "baggage", "sentry-trace"]


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
        "host",
        "cookie",
        "sec-fetch-site",
        "proxy-x",
        "a b",
        "",
    ],
)
def test_what_a_proxy_says_a_page_may_not_nor_what_is_no_name(name: str) -> None:
    assert preflight(f"traceparent,{name}")[3:] == ["traceparent"]


def test_names_without_end_are_not_answered_for() -> None:
    many = ",".join(f"x-{number}" for number in range(5_000))
    assert len(preflight(many)) == 3 + cors.MAX_ASKED
    assert preflight("x" * 10_000) == preflight(None)


def test_only_an_options_request_that_names_a_method_is_a_preflight() -> None:
    asked = {"access-control-request-method": "GET"}
    assert cors.is_preflight("OPTIONS", asked)
    assert not cors.is_preflight("GET", asked)
    assert not cors.is_preflight("OPTIONS", {})
