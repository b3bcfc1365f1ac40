"""What is wrong on the way, of what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidings.check.through.judging import findings
from tidings.check.through.remedies import REMEDIES, Fault
from tidings.check.through.seen import (
    CLAIMED,
    EVENT_STREAM,
    PATHS,
    POLL,
    SESSION_PATH,
    WEBSOCKET,
    Answer,
    Seen,
    Session,
)

VERSION = "1.2.3"
HERE = "https://mail.example"
SESSION = Session(Answer(SESSION_PATH, 200), HERE, "10.0.0.5", "8.8.8.8", "8.8.8.8", VERSION, frozenset({HERE}))
ANSWERS = {
    WEBSOCKET: Answer(PATHS[WEBSOCKET], 101),
    EVENT_STREAM: Answer(PATHS[EVENT_STREAM], 200),
    POLL: Answer(PATHS[POLL], 200),
}
ALL_TOLD = {WEBSOCKET: 0.1, EVENT_STREAM: 0.1, POLL: 0.2}
RIGHT = Seen(SESSION, ANSWERS, 0.1, ALL_TOLD, dict.fromkeys(ANSWERS))


def shows(seen: Seen) -> dict[Fault, str]:
    return {finding.fault: finding.shows for finding in findings(seen, VERSION)}


def with_session(**members: object) -> Seen:
    return replace(RIGHT, session=replace(SESSION, **members))  # type: ignore[arg-type]


def answering(transport: str, status: int, **members: object) -> Seen:
    answer = Answer(PATHS[transport], status, **members)  # type: ignore[arg-type]
    return replace(RIGHT, answers={**ANSWERS, transport: answer})


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert shows(RIGHT) == {}
    assert shows(Seen(SESSION, ANSWERS, 0.1)) == {}


@pytest.mark.parametrize("status", [400, 405, 426])
def test_a_handshake_that_lacks_something_has_lost_it_on_the_way(status: int) -> None:
    assert shows(answering(WEBSOCKET, status, said="Upgrade is missing")) == {
        Fault.UPGRADE: f"/jmap/ws answers {status}: Upgrade is missing"
    }


@pytest.mark.parametrize(
    ("status", "ours", "fault"),
    [
        (0, False, Fault.UNREACHED),
        (502, False, Fault.UNREACHED),
        (503, True, Fault.OTHER),
        (401, True, Fault.OTHER),
        (404, True, Fault.PATH),
        (404, False, Fault.PATH),
        (200, False, Fault.PATH),
        (301, False, Fault.PATH),
    ],
)
def test_who_answers_tells_what_is_wrong(status: int, ours: bool, fault: Fault) -> None:
    assert list(shows(answering(POLL, status, ours=ours))) == [fault]
    failed = Session(Answer(SESSION_PATH, status, "said", ours), HERE)
    assert fault in shows(replace(RIGHT, session=failed))


def test_what_is_compressed_is_found() -> None:
    assert shows(answering(POLL, 200, encoding="gzip")) == {
        Fault.COMPRESSES: "/jmap/changes has Content-Encoding: gzip"
    }


def test_what_is_held_back_is_found() -> None:
    assert list(shows(answering(EVENT_STREAM, 0, said="no answer in time", ours=False))) == [Fault.BUFFERS]
    assert Fault.BUFFERS in shows(replace(RIGHT, first=None))
    assert shows(replace(RIGHT, told={**ALL_TOLD, POLL: None})) == {
        Fault.BUFFERS: "a poll was not told of a change that was published"
    }


def test_the_age_at_which_a_connection_ended_is_said() -> None:
    assert shows(replace(RIGHT, cut={WEBSOCKET: None, EVENT_STREAM: 60.2})) == {
        Fault.CUTS: "an event stream ended after 60 s of silence"
    }


@pytest.mark.parametrize(
    ("client", "here", "hidden"),
    [
        ("198.51.100.7", "10.0.0.5", True),
        ("8.8.8.8", "10.0.0.5", False),
        ("10.0.0.5", "10.0.0.5", False),
        ("10.0.0.1", "10.0.0.5", True),
        ("127.0.0.1", "10.0.0.5", True),
        ("unix", "10.0.0.5", True),
        ("2001:4860::/64", "fd00::1", False),
    ],
)
def test_an_address_that_no_client_has_is_that_of_a_proxy(client: str, here: str, hidden: bool) -> None:
    assert (Fault.HIDES in shows(with_session(client=client, here=here))) is hidden


def test_a_claim_that_is_believed_is_found() -> None:
    assert list(shows(with_session(forged=CLAIMED))) == [Fault.BELIEVES]


def test_another_version_is_found_and_one_that_is_not_told_is_not() -> None:
    assert shows(with_session(version="1.2.4")) == {Fault.VERSION: "the gateway has 1.2.4, this command has 1.2.3"}
    assert shows(with_session(version=None, client=None, forged=None)) == {}


def test_a_session_of_which_one_url_leads_here_will_do() -> None:
    assert shows(with_session(leads_to=frozenset({HERE, "https://g1.mail.example"}))) == {}
    assert shows(with_session(leads_to=frozenset({"http://tidings"}))) == {
        Fault.HOST: "the URLs begin with http://tidings, not with https://mail.example"
    }


def test_a_finding_says_what_mends_it() -> None:
    (finding,) = findings(replace(RIGHT, first=None), VERSION)
    first, *others = finding.lines()
    assert first == f"FOUND: {finding.fault.value}: {finding.shows}"
    assert others == [f"  {proxy}: {line}" for proxy, line in REMEDIES[Fault.BUFFERS].items()]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.VERSION, Fault.OTHER)])
def test_nginx_and_apache_are_told_how_to_mend_it(fault: Fault) -> None:
    assert {"nginx", "Apache"} <= REMEDIES[fault].keys()
