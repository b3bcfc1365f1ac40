"""`/debug/accounts/{account}` of the admin listener: what this gateway knows of an account, and what the log has of it.

Its handler runs in the admin listener's thread. What belongs to the main loop is looked at there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncio_pprof.page import document, wants_json
from tidings.bus.log import ChangeLog
from tidings.gateway.codecs import http1
from tidings.gateway.feeds.log_clock import LogClock
from tidings.gateway.feeds.pool import Feed
from tidings.gateway.formats.parked import Lot, Parked
from tidings.gateway.model.connection import AgeLimit, Connection
from tidings.gateway.model.pending import FREE
from tidings.gateway.net.reactor import Reactor
from tidings.gateway.watching.account_html import account_page, search_page
from tidings.gateway.watching.account_log import READ_SECONDS, AccountLog, Recent
from tidings.gateway.watching.dashboard import MOST_TALKERS
from tidings.gateway.watching.journal import CLOSED, Journal
from tidings.gateway.watching.main_loop import LOOK_SECONDS, MainLoop
from tidings.gateway.watching.talkers import Talkers
from tidings.ops.admin.home import DASHBOARD
from tidings.ops.admin.listeners import document_response
from tidings.ops.http.problems import problem_response
from tidings.wire.change import account_fault
from tidings.wire.shard import shard_of

ACCOUNTS_PATH: Final = "/debug/accounts/"
ACCOUNT_PATH: Final = f"{ACCOUNTS_PATH}{{account}}"
DEFAULT_SECONDS: Final = 3_600
MAX_SECONDS: Final = 86_400
MAX_CONNECTIONS: Final = 100
MAX_NOTES: Final = 500
SLICE: Final = 10_000
"""How many connections are looked at before everybody else on the loop has a turn."""

Document = dict[str, Any]
Moment = Callable[[float | None], str | None]
"""A monotonic time as people read it."""


class Inside(NamedTuple):
    """What belongs to the main loop, and knows of accounts."""

    lot: Lot
    feeds: Mapping[int, Feed]
    journal: Journal
    shards: int


class AccountPage:
    """Answers from `attach` on."""

    def __init__(self, main: MainLoop, talkers: Talkers) -> None:
        self._talkers = talkers
        self._main = main
        self._inside: Inside | None = None
        self._log: AccountLog | None = None

    def attach(self, lot: Lot, feeds: Mapping[int, Feed], journal: Journal, log: ChangeLog, clock: LogClock) -> None:
        """Tell of these, which belong to the main loop."""
        self._inside = Inside(lot, feeds, journal, log.shards)
        self._log = AccountLog(log, clock)

    def routes(self) -> Iterator[Route]:
        """The page of an account, and the page that leads there."""
        yield Route(ACCOUNTS_PATH, self._search)
        yield Route(ACCOUNT_PATH, self._answer)

    async def _search(self, _: Request) -> Response:
        return search_response(self._talkers.shares(MOST_TALKERS))

    async def _answer(self, request: Request) -> Response:
        account = request.path_params["account"]
        seconds = http1.read_seconds(request.query_params.get("seconds", str(DEFAULT_SECONDS)))
        fault = account_fault(account)
        if fault is not None:
            return problem_response(400, f"the account {fault}")
        if seconds is None or seconds > MAX_SECONDS:
            return problem_response(400, f"seconds must be 0 (do not read the log) to {MAX_SECONDS}")
        inside, log = self._inside, self._log
        if inside is None or log is None:
            return problem_response(503, "the gateway has not started yet")
        try:
            told = await self._main.run(_look(inside, account), LOOK_SECONDS)
            if seconds:
                told |= _told(await self._main.run(log.recent(account, seconds), READ_SECONDS + LOOK_SECONDS))
        except TimeoutError:
            return problem_response(503, self._main.silence())
        return account_response(request, told)


def account_response(request: Request, told: Document) -> Response:
    """What is known of an account, as a page or as JSON, as the request asks for."""
    if wants_json(request):
        return document_response(told)
    return document(f"Account {told['account']}", account_page(told), DASHBOARD, "../")


def search_response(accounts: Iterable[tuple[str, float]] = ()) -> Response:
    """The page that leads to accounts; `accounts` are those that are pushed to most, with their shares."""
    return document("Accounts", search_page(accounts), DASHBOARD, "../")


async def connections_of(account: str, reactor: Reactor) -> list[Connection]:
    """The connections of an account. To be awaited on the main loop."""
    # Those of the roster are not enough: who has not subscribed is not in it.
    everybody, found = reactor.connections(), []
    for start in range(0, len(everybody), SLICE):
        found += [one for one in everybody[start : start + SLICE] if account in one.account_names()]
        await asyncio.sleep(0)
    # Some are gone meanwhile.
    return [one for one in found if one.fd >= 0]


async def _look(inside: Inside, account: str) -> Document:
    """What the main loop's objects say; some milliseconds at once, whatever there is."""
    lot, feeds, journal, shards = inside
    found = await connections_of(account, lot.reactor)
    moment = _monotonic()
    feed = feeds.get(shard_of(account, shards))
    events = journal.events.of(account)
    subscribed = {note.which: note.at for note in events if not note.what.startswith(CLOSED)}
    history = [
        *((note.at, note.what, note.which) for note in events),
        *((note.at, f"pushed to {note.what}", note.which) for note in journal.pushes.of(account)),
        *((note.at, f"merged into a waiting push for {note.what}", note.which) for note in journal.merges.of(account)),
    ]
    history.sort()
    return {
        "account": account,
        "shard": shard_of(account, shards),
        "feed": None if feed is None else _feed(feed, lot.hub.cursor(account)),
        "connections": [_describe(lot, one, subscribed.get(id(one)), moment) for one in found[:MAX_CONNECTIONS]],
        "connections_omitted": max(0, len(found) - MAX_CONNECTIONS),
        "history": [
            {"at": moment(at), "what": what, "connection": _name(which)} for at, what, which in history[-MAX_NOTES:]
        ],
        "history_omitted": max(0, len(history) - MAX_NOTES),
        "history_since": {
            "resumes and ends": moment(journal.events.since),
            "pushes": moment(journal.pushes.since),
            "merges": moment(journal.merges.since),
        },
    }


def _feed(feed: Feed, cursor: str) -> Document:
    """Up to `offset` every change in the log has been seen here; `cursor` is what clients are given now."""
    position = feed.window.position
    return {"live": feed.live, "offset": None if position is None else position.offset, "cursor": cursor}


def _describe(lot: Lot, connection: Connection, subscribed: float | None, moment: Moment) -> Document:
    handler, form, pending, expires = connection.handler, connection.form, connection.pending, connection.expires
    if form is None:
        state = "not subscribed"
    elif lot.reactor.is_blocked(connection):
        state = "does not read"
    else:
        state = "waits to be resumed" if lot.hub.is_resuming(connection) else "subscribed"
    return {
        "connection": _name(id(connection)),
        "format": handler.wire_format if isinstance(handler, Parked) else "ending",
        "state": state,
        "types": sorted(form.types) if form is not None and form.types is not None else None,
        "subscribed_at": moment(subscribed if form is not None else None),
        "told_at": moment(connection.pushed_at or None),
        "waiting": None if pending is FREE else pending.changed,
        "ends_at": moment(expires),
        "ends_with": None if expires is None else "age" if isinstance(expires, AgeLimit) else "token",
    }


def _told(recent: Recent) -> Document:
    return {
        "log": {
            "since": _iso(recent.since),
            "read_to": _iso(recent.read_to),
            "entries": recent.entries,
            "undecodable": recent.undecodable,
            "omitted": recent.omitted,
            "fault": recent.fault,
        },
        "changes": [change._asdict() | {"at": _iso(change.at), "time": _iso(change.time)} for change in recent.changes],
    }


def _name(which: int) -> str | None:
    """What tells connections apart, for as long as they live."""
    return f"{which:x}" if which else None


def _monotonic() -> Moment:
    """Makes moments of monotonic seconds what they are called, as the clocks stand now."""
    offset = time.time() - time.monotonic()
    return lambda at: _iso(None if at is None else at + offset)


def _iso(at: float | None) -> str | None:
    """Unix seconds as RFC 3339 has them; None for a time that it has not, outside of the years 1 to 9999."""
    if at is None:
        return None
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
