from __future__ import annotations

import pytest

from tidings.errors import UpstreamFault
from tidings.gateway.upstream.http import Answer, Caller, check_no_loop, credential, request_fields


@pytest.mark.parametrize("shown", ["Basic YWxpY2U6c2VjcmV0", "bearer abc", "  Bearer abc "])
def test_what_speaks_for_one_request_is_passed_on(shown: str) -> None:
    assert credential({"authorization": shown}) == shown.strip()


@pytest.mark.parametrize("shown", ["", "Negotiate abc", "NTLM abc", "Basic", "Basic " + "a" * 8_192, "Bearer ü"])
def test_nothing_else_is(shown: str) -> None:
    assert credential({"authorization": shown}) == ("Basic" if shown == "Basic" else "")
    assert credential({}) == ""


def test_a_caller_does_not_show_what_it_has() -> None:
    assert "secret" not in repr(Caller("Basic secret", "192.0.2.1"))


def test_a_request_says_for_whom_it_is() -> None:
    fields = request_fields(Caller("Bearer abc", "192.0.2.1"), "mail.example", None)
    assert (fields["Host"], fields["Authorization"], fields["X-Forwarded-For"]) == (
        "mail.example",
        "Bearer abc",
        "192.0.2.1",
    )
    assert fields["Accept-Encoding"] == "identity"
    assert "Content-Type" not in fields


def test_a_call_says_what_it_has() -> None:
    fields = request_fields(Caller("", ""), "mail.example", b"{}")
    assert (fields["Content-Type"], fields["Content-Length"]) == ("application/json", "2")
    assert not {"Authorization", "X-Forwarded-For"} & set(fields)


def answer(status: int, **headers: str) -> Answer:
    return Answer("/.well-known/jmap", status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def test_of_an_answer_that_is_no_session_only_this_is_passed_on() -> None:
    given = answer(401, www_authenticate="Basic", content_type="text/plain", set_cookie="a=b", server="x")
    assert given.passed_on() == {"www-authenticate": "Basic", "content-type": "text/plain"}


def test_a_redirect_leads_to_a_path_of_the_same_server() -> None:
    assert answer(301, location="/jmap/").redirect == "/jmap/"
    assert answer(308, location="https://elsewhere.example/jmap/session").redirect == "/jmap/session"
    assert answer(302).redirect is None
    assert answer(201, location="/jmap/").redirect is None
    with pytest.raises(UpstreamFault):
        _ = answer(302, location="ftp://host/").redirect


def test_a_request_that_comes_back_is_known() -> None:
    check_no_loop({})
    check_no_loop({"via": "1.1 proxy"})
    with pytest.raises(UpstreamFault) as fault:
        check_no_loop({"via": "1.1 proxy, 1.1 tidings"})
    assert fault.value.code == 508
