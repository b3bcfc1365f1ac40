"""The outbox as a publisher sees it: the only module that speaks to PostgreSQL.

One transaction claims lanes, reads their rows and, once the log has them, deletes these: who dies in between leaves
everything as it was. A lane is locked with FOR UPDATE SKIP LOCKED, so that publishers share the lanes and never one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from tidings.errors import SettingsError, SourceAway
from tidings.publisher.sources.postgres.failures import told
from tidings.publisher.sources.postgres.rows import Row

CHANNEL: Final = "tidings_outbox"
LANES: Final = 16
LANES_AT_ONCE: Final = 8
"""Half of them, so that another publisher has something to do meanwhile."""
ROWS_AT_ONCE: Final = 1_000
ANSWER_SECONDS: Final = 15.0
"""How long the server may take for one step. It forgets a publisher that says nothing for twice as long."""
_CONNECT: Final[Mapping[str, Any]] = {
    "autocommit": True,
    # A pooler hands each transaction to another server process, which knows no statement that was prepared before.
    "prepare_threshold": None,
    "application_name": "tidings publisher",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_CHECK: Final = "SELECT count(*) FROM tidings_outbox_lane"
_BOUND: Final = "SELECT set_config('idle_in_transaction_session_timeout', %s, true)"
_CLAIM: Final = """
    SELECT lane FROM tidings_outbox_lane
    WHERE EXISTS (SELECT FROM tidings_outbox WHERE lane = tidings_outbox_lane.lane AND refused IS NULL)
    ORDER BY random() LIMIT %s FOR UPDATE SKIP LOCKED
"""
MAX_CHANGED_BYTES: Final = 32 * 1024
"""More than 32 data types with states need. What is larger is not fetched, and refused for what is in its place."""
# Whatever a row has must come as a row: one that cannot be fetched would keep all others of its lane. So JSON comes as
# text, which the driver would decode without bounds, and a time that is none, such as infinity, is the present.
_READ: Final = """
    SELECT seq, id::text, left(coalesce(account, aggregateid), 1024), left(type, 256),
        CASE WHEN octet_length(states) > %s THEN '"too large"' ELSE states END,
        extract(epoch FROM told)::float8, extract(epoch FROM clock_timestamp() - told)::float8
    FROM tidings_outbox
        CROSS JOIN LATERAL (SELECT coalesce(changed, payload->'changed')::text) AS json(states)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN at BETWEEN '1970-01-02' AND '9999-01-01' THEN at ELSE clock_timestamp() END
        ) AS time(told)
    WHERE lane = ANY(%s) AND refused IS NULL ORDER BY seq LIMIT %s
"""
# Apart from the claim: who waits for nobody may have begun to look before another publisher's rows were gone.
_REFUSE: Final = "UPDATE tidings_outbox SET refused = %s WHERE seq = %s"
_DELETE: Final = "DELETE FROM tidings_outbox WHERE seq = ANY(%s)"


def check_url(url: str) -> None:
    """Raises SettingsError for a URL that libpq cannot read: its own words would repeat a part of the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {"host": "@"}
    ports = str(parts.get("port") or "").split(",")
    if "@" in str(parts.get("host") or "") or not all(port.isdecimal() for port in ports if port):
        raise SettingsError(
            "--postgres-url (TIDINGS_POSTGRES_URL): the URL cannot be read; "
            "in user and password, percent-encode : / ? # [ ] @ % & and spaces"
        )


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Raise SourceAway for what the server does not do, and for what it does not do in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except psycopg.Error as error:
        raise SourceAway(told(error.sqlstate, str(error))) from error
    except TimeoutError as error:
        raise SourceAway(f"no answer within {ANSWER_SECONDS:g} s") from error


async def _check(hands: AsyncConnection[TupleRow]) -> None:
    async with _answering():
        found = await (await hands.execute(_CHECK)).fetchone()
    if found != (LANES,):
        raise SourceAway(f"tidings_outbox_lane must have {LANES} rows: run the SQL of `tidings postgres-schema`")


class Outbox:
    """A connection that takes rows, and one that is woken. Everything raises SourceAway."""

    def __init__(self, hands: AsyncConnection[TupleRow], ears: AsyncConnection[TupleRow]) -> None:
        self._hands = hands
        self._ears = ears

    @classmethod
    async def connect(cls, url: str) -> Self:
        """Connect, and see that the tables are there."""
        async with _answering():
            hands = await AsyncConnection.connect(url, **_CONNECT)
        try:
            await _check(hands)
            async with _answering():
                ears = await AsyncConnection.connect(url, **_CONNECT)
        except BaseException:
            await hands.close()
            raise
        outbox = cls(hands, ears)
        try:
            async with _answering():
                await ears.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            await outbox.close()
            raise
        return outbox

    async def close(self) -> None:
        """Close both."""
        await self._hands.close()
        await self._ears.close()

    async def wait(self, seconds: float) -> None:
        """Return when rows have come since the last call, or after so many seconds."""
        try:
            async for _ in self._ears.notifies(timeout=seconds, stop_after=1):
                pass
            # One look finds what all that have come meanwhile tell of.
            async for _ in self._ears.notifies(timeout=0):
                pass
        except psycopg.Error as error:
            raise SourceAway(told(error.sqlstate, str(error))) from error

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Taken]:
        """Rows that nobody else is given, in order within each account, for as long as this lasts.

        They are gone afterwards, or all still there when it raises.
        """
        async with _answering():
            await self._hands.execute("BEGIN")
            await self._hands.execute(_BOUND, (f"{2 * ANSWER_SECONDS * 1000:.0f}",))
            lanes = [lane for (lane,) in await (await self._hands.execute(_CLAIM, (LANES_AT_ONCE,))).fetchall()]
            cursor = await self._hands.execute(_READ, (MAX_CHANGED_BYTES, lanes, ROWS_AT_ONCE), binary=True)
            rows = [Row(*row) for row in await cursor.fetchall()]
        taken = Taken(rows, more=len(lanes) == LANES_AT_ONCE or len(rows) == ROWS_AT_ONCE)
        try:
            yield taken
        except BaseException:
            async with _answering():
                await self._hands.execute("ROLLBACK")
            raise
        await self._finish(taken)

    async def _finish(self, taken: Taken) -> None:
        refused = taken.refused
        done = [row.seq for row in taken.rows if row.seq not in refused]
        async with _answering():
            for seq, why in refused.items():
                await self._hands.execute(_REFUSE, (why, seq))
            if done:
                await self._hands.execute(_DELETE, (done,))
            await self._hands.execute("COMMIT")


class Taken:
    """Rows, and of those that mean nothing, why (by `seq`): these stay where they are, marked with that.

    `more`: there may be others to take at once.
    """

    def __init__(self, rows: Sequence[Row], *, more: bool) -> None:
        self.rows = rows
        self.more = more
        self.refused: dict[int, str] = {}
