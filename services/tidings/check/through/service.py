"""The composition root of `tidings check --through`."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from importlib.metadata import version

from tidings.check.installation import shown_token
from tidings.check.ledger import TYPES
from tidings.check.listening import Subscription
from tidings.check.sender import Sender, event
from tidings.check.settings import CheckSettings
from tidings.check.through.judging import OK, findings
from tidings.check.through.looking import Looker
from tidings.check.through.seen import EVENT_STREAM, POLL, WEBSOCKET, Answer, Seen
from tidings.check.through.waiting import cut, first_event, told

Say = Callable[[str], None]


async def look_through(settings: CheckSettings, account: str, say: Say) -> bool:
    """Look as a browser does, and say what is wrong and what mends it; whether nothing is.

    Raises CheckFailed when the publisher does not take a change.
    """
    tls = ssl.create_default_context()
    asked = Subscription(settings.through, (account,), (), shown_token(settings, (account,)), None, tls)
    looker = Looker(asked)
    try:
        seen = await _look(looker, settings, account, say)
    finally:
        await looker.close()
    found = findings(seen, version("tidings"))
    for finding in found:
        for line in finding.lines():
            say(line)
    return not found


async def _look(looker: Looker, settings: CheckSettings, account: str, say: Say) -> Seen:
    seconds = settings.timeout_seconds
    session = await looker.session()
    say(f"the session: {_words(session.answer)}")
    if session.client is not None:
        say(f"the gateway is {session.version}, and takes this client for {session.client}")
    answers: dict[str, Answer] = {}
    first = None
    async with looker.websocket() as (answers[WEBSOCKET], _):
        pass
    async with looker.events(seconds) as (answers[EVENT_STREAM], response):
        if response is not None and answers[EVENT_STREAM].status in OK:
            first = await first_event(response.aiter_lines(), seconds)
    async with looker.poll() as (answers[POLL], _):
        pass
    for transport, answer in answers.items():
        say(f"{transport}: {_words(answer)}")
    works = frozenset(name for name, answer in answers.items() if answer.ours and answer.status in OK)
    if first is None:
        works -= {EVENT_STREAM}
    changed = await _published(looker, settings, account, works)
    for transport, took in changed.items():
        say(f"{transport} was told of a change after {took:.3f} s" if took is not None else f"{transport} was not told")
    ended = await cut(looker, works, settings.seconds) if settings.seconds else {}
    for transport, age in ended.items():
        say(f"{transport} ended after {age:.0f} s" if age is not None else f"{transport} lasted {settings.seconds:g} s")
    return Seen(session, answers, first, changed, ended)


async def _published(
    looker: Looker, settings: CheckSettings, account: str, works: frozenset[str]
) -> dict[str, float | None]:
    """How long each transport took to tell of a change; nothing where no publisher is named."""
    if "ingest_url" not in settings.model_fields_set:
        return {}
    token = settings.ingest_token
    sender = Sender(None if token is None else token.get_secret_value(), looker.asked.tls)

    async def publish() -> str:
        state = secrets.token_hex(8)
        await sender.post(settings.ingest_url[0], event(account, dict.fromkeys(TYPES, state)))
        return state

    try:
        return await told(looker, publish, works, settings.timeout_seconds)
    finally:
        await sender.close()


def _words(answer: Answer) -> str:
    return f"answers {answer.status}" if answer.status else answer.said
