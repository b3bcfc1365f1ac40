"""One connection to one account that is logged in: what is asked, what is heard, and what is told of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from tidings.publisher.sources.imap.connection import Connection
from tidings.publisher.sources.imap.folders import INBOX, Folder, events, is_between, is_exact
from tidings.publisher.sources.imap.plan import Plan, plan
from tidings.publisher.sources.imap.teller import Teller
from tidings.publisher.sources.imap.view import View

SETTLE_SECONDS: Final = 0.02
"""What a server tells within this time of each other belongs together: a move is told of by two mailboxes."""
SETTLED_SECONDS: Final = 0.3
"""How long a server that goes on telling is listened to before what it told is compared."""
PAUSE_SECONDS: Final = 0.2
"""Between two questions for all mailboxes that the server's hints make, at the least."""
PAUSE_FACTOR: Final = 4.0
"""How many times as long as the answer took: a server with many mailboxes is not kept busy by one account."""
RESPONSES_OF_A_MAILBOX: Final = 2
"""LIST and STATUS."""


class Session:
    """Compares once, then listens until the connection ends. `untold` is called when the server tells too little."""

    def __init__(
        self,
        login: str,
        connection: Connection,
        view: View,
        teller: Teller,
        poll_seconds: float,
        untold: Callable[[], None],
    ) -> None:
        self._login = login
        self._connection = connection
        self._view = view
        self._teller = teller
        self._poll_seconds = poll_seconds
        self._untold = untold
        self._told: Mapping[bytes, Folder] = {}
        self._next_look = 0.0
        self._pause = PAUSE_SECONDS
        self._doubt = False
        self._flagged = False

    async def begin(self) -> None:
        """Have the server tell, and then find out what happened before. Raises ImapError."""
        self._plan = await self._begin(plan(self._connection.capabilities))
        await self._look()
        known = await self._teller.known(self._login)
        await self._settle(known or {})
        after = dict(self._view.folders)
        if known is None:
            await self._teller.tell(self._login, None, after, frozenset())
        else:
            gap = "" if is_exact(known) and is_exact(after) else "flags"
            await self._teller.tell(self._login, known, after, events(known, after, live=False), gap=gap)
        self._told = after

    async def _begin(self, best: Plan) -> Plan:
        if best.enable is not None:
            await self._connection.command(best.enable)
        if best.notify is not None:
            condition = await self._connection.asked(best.notify)
            if condition.status == b"OK":
                return best
            # It knows NOTIFY but not these events (RFC 5465 section 5.1).
            best = replace(best, notify=None)
        if best.idles:
            # Unlike SELECT, it leaves the mailbox as it is: no message stops being recent. Where nothing is heard of a
            # selected mailbox, its STATUS is what it was (RFC 9051 section 6.3.11).
            await self._connection.command(b"EXAMINE INBOX")
            self._view.selected()
        return best

    async def listen(self) -> None:
        """Until the connection ends, which raises ImapError."""
        while True:
            await self._hear()
            noticed = time.time()
            due = time.monotonic() >= self._next_look
            if self._view.overflow:
                await self._renew()
            asked = self._view.stale or self._view.touched or self._plan.notify is None
            if due and self._plan.notify is not None:
                await self._check()
            elif due or asked:
                await self._look()
            await self._settle(self._told)
            await self._tell(noticed)
            if asked and not due:
                await asyncio.sleep(self._pause)

    async def _hear(self) -> None:
        """Return when there may be news, or it is time to look."""
        tag = await self._connection.idle() if self._plan.idles else None
        while not self._view.news and (left := self._next_look - time.monotonic()) > 0:
            await self._connection.heard(left)
        end = time.monotonic() + SETTLED_SECONDS
        while self._view.news and time.monotonic() < end and await self._connection.heard(SETTLE_SECONDS):
            pass
        if tag is not None:
            await self._connection.done(tag)

    async def _renew(self) -> None:
        """The server has stopped to tell: too much happened at once."""
        self._view.overflow = False
        self._plan = await self._begin(replace(self._plan, enable=None))
        self._view.stale = True

    async def _look(self) -> None:
        """Ask for the STATUS of every mailbox."""
        connection, view = self._connection, self._view
        # Of what is heard from now on, nobody can say whether the answer has it already.
        self._flagged = self._flagged or view.flagged
        begun = time.monotonic()
        connection.expect(RESPONSES_OF_A_MAILBOX * len(view.folders))
        view.begin()
        await connection.command(self._plan.listing)
        if not self._plan.statuses:
            for mailbox in view.selectable:
                # Refused for one that has gone meanwhile, or that nobody may read.
                await connection.asked(self._plan.status(mailbox))
        view.end()
        self._pause = max(PAUSE_SECONDS, PAUSE_FACTOR * (time.monotonic() - begun))
        self._next_look = time.monotonic() + self._poll_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spread

    async def _settle(self, before: Mapping[bytes, Folder]) -> None:
        """Look once more when the last look may have come in the middle of a rename."""
        if is_between(before, self._view.folders):
            await asyncio.sleep(PAUSE_SECONDS)
            await self._look()

    async def _check(self) -> None:
        """Look whether the server tells of INBOX.

        One change that it has not told of proves nothing. Dovecot waits for half a second before it tells, and does not
        tell of what an answer has said meanwhile. A second one, with nothing told in between, does.
        """
        view = self._view
        inbox = self._told.get(INBOX)
        await self._look()
        if view.told_inbox:
            self._doubt = view.told_inbox = False
        elif view.folders.get(INBOX) != inbox:
            if self._doubt:
                self._untold()
            self._doubt = True

    async def _tell(self, noticed: float) -> None:
        view = self._view
        view.changed = False
        after = dict(view.folders)
        happened = set(events(self._told, after, live=True))
        if self._flagged and INBOX in after and not after[INBOX].modseq:
            happened.add("FlagsSet")
        self._flagged = False
        await self._teller.tell(self._login, self._told, after, happened, noticed=noticed)
        self._told = after
