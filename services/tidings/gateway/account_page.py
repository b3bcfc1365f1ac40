"""`/debug/accounts/{account}` of the admin listener: what this gateway knows of an account, and what the log has of it.

Its handler runs in the admin listener's thread. What belongs to the main loop is looked at there, under a deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidings.bus.log import ChangeLog
from tidings.gateway import http1
from tidings.gateway.account_log import READ_SECONDS, AccountLog, Recent
from tidings.gateway.connection import Connection
from tidings.gateway.demand import Feed
from tidings.gateway.drain import AgeLimit
from tidings.gateway.journal import CLOSED
from tidings.gateway.parked import Lot, Parked
from tidings.ops.admin import document_response
from tidings.ops.health import Health
from tidings.ops.problems import problem_response
from tidings.wire.change import account_fault
from tidings.wire.shard import shard_of

ACCOUNT_PATH: Final = "/debug/accounts/{account}"
LOOK_SECONDS: Final = 0.8
DEFAULT_SECONDS: Final = 3_600
MAX_SECONDS: Final = 86_400
MAX_CONNECTIONS: Final = 100
MAX_NOTES: Final = 500
SLICE: Final = 10_000
"""How many connections are looked at before everybody else on the loop has a turn."""

T = TypeVar("T")
Document = dict[str, Any]
Moment = Callable[[float | None], str | None]
"""A monotonic time as people read it."""


class AccountPage:
    """Answers from `attach` on."""

    def __init__(self, health: Health) -> None:
        self.route = Route(ACCOUNT_PATH, self._answer)
        self._health = health
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lot: Lot | None = None
        self._log: AccountLog | None = None
        self._shards = 0

    def attach(self, lot: Lot, log: ChangeLog) -> None:
        """Tell of this lot, on this loop."""
        self._loop = asyncio.get_running_loop()
        self._lot = lot
        self._log = AccountLog(log)
        self._shards = log.shards

    async def _answer(self, request: Request) -> Response:
        account = request.path_params["account"]
        seconds = http1.read_seconds(request.query_params.get("seconds", str(DEFAULT_SECONDS)))
        fault = account_fault(account)
        if fault is not None:
            return problem_response(400, f"the account {fault}")
        if seconds is None or seconds > MAX_SECONDS:
            return problem_response(400, f"seconds must be 0 (do not read the log) to {MAX_SECONDS}")
        lot, log = self._lot, self._log
        if lot is None or log is None:
            return problem_response(503, "the gateway has not started yet")
        try:
            document = await self._on_main_loop(_look(lot, account, self._shards), LOOK_SECONDS)
            if seconds:
                reading = self._on_main_loop(log.recent(account, seconds), READ_SECONDS + LOOK_SECONDS)
                document |= _told(await reading)
        except TimeoutError:
            detail = f"the main loop does not answer; it last ran {self._health.beat_age():.1f} s ago"
            return problem_response(503, detail)
        return document_response(document)

    async def _on_main_loop(self, doing: Coroutine[Any, Any, T], seconds: float) -> T:
        """Have the main loop do something. Raises TimeoutError when it does not, in time or at all."""
        loop = self._loop
        if loop is None or loop.is_closed():
            doing.close()
            raise TimeoutError
        async with asyncio.timeout(seconds):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, loop))


async def _look(lot: Lot, account: str, shards: int) -> Document:
    """What the main loop's objects say; some milliseconds at once, whatever there is."""
    # Those of the roster are not enough: who has not subscribed is not in it.
    everybody, found = lot.reactor.connections(), []
    for start in range(0, len(everybody), SLICE):
        found += [one for one in everybody[start : start + SLICE] if account in one.account_names()]
        await asyncio.sleep(0)
    # Some are gone meanwhile.
    found = [one for one in found if one.fd >= 0]
    moment = _monotonic()
    journal, feed = lot.journal, lot.subscriptions.feeds.get(shard_of(account, shards))
    events = journal.events.of(account)
    subscribed = {note.which: note.at for note in events if not note.what.startswith(CLOSED)}
    history = [
        *((note.at, note.what, note.which) for note in events),
        *((note.at, f"pushed to {note.what}", note.which) for note in journal.pushes.of(account)),
        *((note.at, f"merged into what waits for {note.what}", note.which) for note in journal.merges.of(account)),
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
        "waiting": None if pending is None else pending.changed,
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
    """Unix seconds as RFC 3339 has them."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
