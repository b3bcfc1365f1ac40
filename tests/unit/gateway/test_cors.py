"""CORS fields."""

from __future__ import annotations

from tidings.gateway import cors


def test_without_an_origin_nothing_is_said() -> None:
    assert cors.response_fields({"host": "a"}) == {}


def test_an_origin_may_read_the_answer_and_its_entity_tag() -> None:
    fields = cors.response_fields({"origin": "https://mail.example"})
    assert fields["Access-Control-Allow-Origin"] == "https://mail.example"
    assert fields["Access-Control-Allow-Credentials"] == "true"
    assert "ETag" in fields["Access-Control-Expose-Headers"]
    assert fields["Vary"] == "Origin"


def test_a_preflight_allows_what_the_endpoints_read() -> None:
    fields = cors.preflight_fields({"origin": "https://mail.example"})
    assert fields["Access-Control-Allow-Methods"] == "GET"
    assert fields["Access-Control-Allow-Headers"] == "Authorization, If-None-Match, Last-Event-ID"
