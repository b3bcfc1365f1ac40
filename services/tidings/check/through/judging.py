"""What is wrong, of what was seen. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from tidings.check.through.remedies import REMEDIES, Fault
from tidings.check.through.seen import CLAIMED, EVENT_STREAM, POLL, WEBSOCKET, Answer, Seen, Session

OK: Final = frozenset({101, 200, 204, 304})
_GATEWAYS: Final = frozenset({0, 502, 503, 504})
_UPGRADE: Final = frozenset({400, 405, 426})
"""How a gateway answers a handshake of which something is missing. Ours was whole."""


class Finding(NamedTuple):
    """A fault, and how it shows."""

    fault: Fault
    shows: str

    def lines(self) -> Iterator[str]:
        """What to say of it: what, and what mends it."""
        yield f"FOUND: {self.fault.value}: {self.shows}"
        yield from (f"  {proxy}: {line}" for proxy, line in REMEDIES[self.fault].items())


def findings(seen: Seen, version: str) -> list[Finding]:
    """Each fault once, the one that hides others first. `version` is that of who looks."""
    found: dict[Fault, Finding] = {}
    for finding in _all(seen, version):
        found.setdefault(finding.fault, finding)
    return list(found.values())


def _all(seen: Seen, version: str) -> Iterator[Finding]:
    yield from _of_answer(seen.session.answer)
    if seen.session.answer.status in OK:
        yield from _of_session(seen.session, version)
    for transport, answer in seen.answers.items():
        if transport == WEBSOCKET and answer.status in _UPGRADE:
            yield Finding(Fault.UPGRADE, _words(answer))
        elif transport == EVENT_STREAM and not answer.status and seen.answers[POLL].status in OK:
            # Others are answered from there: the head waits for what is to come behind it.
            yield Finding(Fault.BUFFERS, _words(answer))
        else:
            yield from _of_answer(answer)
        if answer.encoding:
            yield Finding(Fault.COMPRESSES, f"{answer.path} has Content-Encoding: {answer.encoding}")
    yield from _of_times(seen)


def _of_answer(answer: Answer) -> Iterator[Finding]:
    if answer.status in _GATEWAYS and not answer.ours:
        yield Finding(Fault.UNREACHED, _words(answer))
    elif not answer.ours:
        yield Finding(Fault.PATH, f"{_words(answer)}, which is not an answer of a gateway")
    elif answer.status not in OK:
        yield Finding(Fault.PATH if answer.status == 404 else Fault.OTHER, _words(answer))


def _words(answer: Answer) -> str:
    # What is no gateway's may be a page of HTML.
    said = " ".join(answer.said.split())
    return f"{answer.path} answers {answer.status}: {said}" if answer.status else f"{answer.path}: {said}"


def _of_session(session: Session, version: str) -> Iterator[Finding]:
    # Groups may have hosts of their own: one URL that leads here will do.
    if session.asked not in session.leads_to:
        said = ", ".join(sorted(session.leads_to))
        yield Finding(Fault.HOST, f"the URLs begin with {said}, not with {session.asked}")
    if session.version is not None and session.version != version:
        yield Finding(Fault.VERSION, f"the gateway has {session.version}, this command has {version}")
    if session.client is not None and _is_hidden(session.client, session.here):
        yield Finding(Fault.HIDES, f"the gateway takes this client for {session.client}")
    if session.forged == CLAIMED:
        yield Finding(Fault.BELIEVES, f"X-Forwarded-For: {CLAIMED} was believed")


def _is_hidden(client: str, here: str) -> bool:
    """Whether an address is some proxy's: one that is not ours, and that no client has on the Internet.

    Between us and the proxy addresses may be translated: then ours is one that the world sees.
    """
    try:
        # An IPv6 address counts as its network.
        address = ip_address(client.partition("/")[0])
    except ValueError:
        return True
    return not address.is_global and client != here and address.version == ip_address(here).version


def _of_times(seen: Seen) -> Iterator[Finding]:
    stream = seen.answers.get(EVENT_STREAM)
    if stream is not None and stream.status in OK and stream.ours and seen.first is None:
        yield Finding(Fault.BUFFERS, f"the first event of {stream.path}, which is sent at once, did not come")
    else:
        for transport in (WEBSOCKET, EVENT_STREAM, POLL):
            if transport in seen.told and seen.told[transport] is None:
                yield Finding(Fault.BUFFERS, f"{transport} was not told of a change that was published")
    for transport, age in seen.cut.items():
        if age is not None:
            yield Finding(Fault.CUTS, f"{transport} ended after {age:.0f} s of silence")
