"""The PostgreSQL source against a server that runs, and hurts."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from tests.support.postgres import SCHEMA, Postgres
from tests.support.publisher import Log, Running, Start, eventually
from tests.support.waiting import promised, within
from tidings.cli import main
from tidings.errors import SourceAway
from tidings.publisher.sources.postgres import outbox as outbox_module
from tidings.wire.batch import decode
from tidings.wire.change import DATA_TYPES, Change

INSERT = "INSERT INTO tidings_outbox (account, type) VALUES (%s, %s)"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> str:
    return server.fresh_url()


@pytest.fixture
async def mail(url: str) -> AsyncIterator[AsyncConnection]:
    """What changes mail."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def rows(mail: AsyncConnection) -> list[tuple[object, ...]]:
    return await (await mail.execute("SELECT account, refused FROM tidings_outbox ORDER BY seq")).fetchall()


async def until_left(mail: AsyncConnection, count: int = 0) -> None:
    async with within(60):
        while len(await rows(mail)) > count:
            await asyncio.sleep(0.02)


def test_the_command_prints_the_schema_which_can_be_run_again(
    server: Postgres, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["postgres-schema"]) == 0
    printed = capsys.readouterr().out
    assert printed == SCHEMA
    assert (Path(__file__).parents[2] / "integrations" / "postgres" / "schema.sql").read_text() == printed
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(printed.encode())


async def test_rows_become_changes_and_leave(start: Start, url: str, mail: AsyncConnection, log: Log) -> None:
    running = await start(postgres_url=url)
    before = time.time()
    await mail.execute(INSERT, ("alice", "MessageNew"))
    states = json.dumps({"Email": "s1", "Mailbox": None})
    await mail.execute("INSERT INTO tidings_outbox (account, type, changed) VALUES ('bob', 'mail.X', %s)", (states,))
    await mail.execute(
        "INSERT INTO tidings_outbox (id, aggregatetype, aggregateid, type, payload) VALUES "
        "('00000000-0000-0000-0000-000000000001', 'mailbox', 'carol', 'FlagsSet', '{\"changed\": {\"Email\": \"s2\"}}')"
    )
    await log.until(("carol", "FlagsSet"))
    await until_left(mail)
    alice, bob, carol = sorted(await _changes(log), key=lambda change: change.account)
    assert (alice.event, alice.changed) == (
        "MessageNew",
        dict.fromkeys(DATA_TYPES["MessageNew"]),
    )
    assert alice.time is not None
    assert abs(alice.time - before) < 60
    assert (bob.event, bob.changed) == ("X", {"Email": "s1", "Mailbox": None})
    assert (carol.id, carol.changed) == ("00000000-0000-0000-0000-000000000001", {"Email": "s2"})
    assert running.value("tidings_source_events_total", source="postgres") == 3
    assert running.value("tidings_source_connected", source="postgres") == 1


async def _changes(log: Log) -> list[Change]:
    return [change for _, payload in log.log._shards[0].entries for change in decode(payload).changes]


async def test_what_was_written_before_the_start_is_told(
    start: Start, url: str, mail: AsyncConnection, log: Log
) -> None:
    await mail.execute(INSERT, ("alice", "MessageNew"))
    await start(postgres_url=url)
    await log.until(("alice", "MessageNew"))


async def test_without_the_trigger_it_looks(start: Start, url: str, mail: AsyncConnection, log: Log) -> None:
    await mail.execute("DROP TRIGGER tidings_outbox_wake ON tidings_outbox")
    await start(postgres_url=url)
    await mail.execute(INSERT, ("alice", "MessageNew"))
    await log.until(("alice", "MessageNew"))


async def test_a_row_that_means_nothing_stays_and_says_why(
    start: Start, url: str, mail: AsyncConnection, log: Log
) -> None:
    await mail.execute(INSERT, ("a/b", "MessageNew"))
    await mail.execute(INSERT, ("alice", "Unheard"))
    await mail.execute("INSERT INTO tidings_outbox (account, type, changed) VALUES ('bob', 'X', '[1]')")
    large = json.dumps({"Email": None, **{f"T{number}": "é" * 255 for number in range(1_000)}})
    await mail.execute("INSERT INTO tidings_outbox (account, type, changed) VALUES ('dave', 'X', %s)", (large,))
    await mail.execute(INSERT, ("e" * 100_000, "MessageNew"))
    await mail.execute(INSERT, ("carol", "MessageNew"))
    with capture_logs() as logs:
        await start(postgres_url=url)
        await until_left(mail, 5)
    assert sum(line["event"] == "a row of the outbox is not valid and stays in the outbox" for line in logs) == 1
    assert await rows(mail) == [
        ("a/b", "account must not contain '/'"),
        ("alice", "changed is required: the data types that Unheard changes are not known"),
        ("bob", "changed must be an object of data types and states"),
        ("dave", "changed must be an object of data types and states"),
        ("e" * 100_000, "account must be at most 255 bytes of UTF-8"),
    ]


async def test_no_row_keeps_others_of_its_lane(start: Start, url: str, mail: AsyncConnection, log: Log) -> None:
    states = "INSERT INTO tidings_outbox (account, type, changed) VALUES ('alice', 'X', %s)"
    for deep in ("1" * 5_000, "[" * 3_000 + "]" * 3_000):
        await mail.execute(states, (f'{{"Email": {deep}}}',))
    for time_that_is_none in ("infinity", "-infinity", "200000-01-01"):
        await mail.execute(
            "INSERT INTO tidings_outbox (account, type, at) VALUES ('alice', 'FlagsSet', %s)", (time_that_is_none,)
        )
    await mail.execute(INSERT, ("alice", "MessageNew"))
    running = await start(postgres_url=url)
    before = time.time()
    await log.until(("alice", "MessageNew"))
    await until_left(mail, 2)
    assert await rows(mail) == [("alice", "changed must be an object of data types and states")] * 2
    changes = await _changes(log)
    assert [change.event for change in changes] == ["FlagsSet"] * 3 + ["MessageNew"]
    assert all(abs((change.time or 0) - before) < 60 for change in changes)
    assert running.value("tidings_source_connected", source="postgres") == 1


async def test_the_database_refuses_a_row_of_nobody(mail: AsyncConnection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="tidings_outbox_has_account"):
        await mail.execute("INSERT INTO tidings_outbox (type) VALUES ('MessageNew')")


async def test_logins_become_accounts(start: Start, url: str, mail: AsyncConnection, log: Log, tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text("[[rule]]\nmatch = '(?P<user>[^@]+)@mail'\naccount = '{user}'\n")
    running = await start(postgres_url=url, account_map=file)
    await mail.execute(INSERT, ("bob@else", "MessageNew"))
    await mail.execute(INSERT, ("alice@mail", "MessageNew"))
    await log.until(("alice", "MessageNew"))
    await eventually(lambda: running.value("tidings_source_unmapped_total", source="postgres") == 1)
    await until_left(mail)


async def test_rows_stay_while_the_log_is_away(start: Start, url: str, mail: AsyncConnection, log: Log) -> None:
    running = await start(postgres_url=url)
    log.log.accepts = False
    await mail.execute(INSERT, ("alice", "MessageNew"))
    await eventually(lambda: (running.value("tidings_publisher_batches_total", outcome="failed") or 0) >= 1)
    assert await rows(mail) == [("alice", None)]
    log.log.accepts = True
    await log.until(("alice", "MessageNew"))
    await until_left(mail)


@pytest.mark.parametrize("publishers", [1, 3])
async def test_publishers_share_and_the_order_of_each_account_is_kept(
    start: Start, url: str, mail: AsyncConnection, log: Log, tmp_path: Path, publishers: int
) -> None:
    running = [await start(postgres_url=url, state_dir=tmp_path / str(number)) for number in range(publishers)]
    # One that comes late finds nothing to do.
    await eventually(lambda: all(each.value("tidings_source_connected", source="postgres") == 1 for each in running))
    told: defaultdict[str, list[int]] = defaultdict(list)
    for begun in range(0, 4000, 100):
        values = ",".join(
            f"('user{number % 20}', 'FlagsSet', '{{\"Email\": \"{number}\"}}')" for number in range(begun, begun + 100)
        )
        await mail.execute(f"INSERT INTO tidings_outbox (account, type, changed) VALUES {values}".encode())
    await until_left(mail)
    await eventually(lambda: len(log.everything) >= 4000)
    for change in await _changes(log):
        told[change.account].append(int(change.changed["Email"] or ""))
    assert all(states == list(range(number, 4000, 20)) for number in range(20) for states in (told[f"user{number}"],))
    shares = [each.value("tidings_source_events_total", source="postgres") or 0 for each in running]
    assert sum(shares) == 4000
    assert all(shares), "each has had something to do"


class TestWhatIsWrong:
    @pytest.fixture
    async def heard(self, start: Start) -> AsyncIterator[Heard]:
        with capture_logs() as logs:
            yield Heard(start, logs)

    async def test_no_table(self, heard: Heard, server: Postgres) -> None:
        url = server.fresh_url(None)
        running = await heard.start(url)
        reason = await heard.reason()
        assert 'relation "tidings_outbox_lane" does not exist' in reason
        assert "(run the SQL of `tidings postgres-schema` in this database)" in reason
        assert running.value("tidings_source_connected", source="postgres") == 0
        (trouble,) = running.runtime.health.troubles()
        assert trouble.runbook == "TidingsSourceAway"
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(SCHEMA.encode())
        await eventually(lambda: running.value("tidings_source_connected", source="postgres") == 1)
        assert not list(running.runtime.health.troubles())

    async def test_no_permission(self, heard: Heard, server: Postgres, url: str, mail: AsyncConnection) -> None:
        role = url.rpartition("/")[2]
        await mail.execute(f"CREATE ROLE {role} LOGIN".encode())
        await heard.start(url.replace("postgres@", f"{role}@"))
        assert "permission denied" in await heard.reason()

    async def test_the_grants_of_the_schema_are_enough(
        self, start: Start, url: str, mail: AsyncConnection, log: Log
    ) -> None:
        role = url.rpartition("/")[2]
        grants = [line.removeprefix("--").strip() for line in SCHEMA.splitlines() if "GRANT" in line and ";" in line]
        await mail.execute(f"CREATE ROLE {role} LOGIN".encode())
        for grant in grants[:2]:
            await mail.execute(grant.replace("TO tidings", f"TO {role}").encode())
        await mail.execute(INSERT, ("a/b", "MessageNew"))
        await mail.execute(INSERT, ("alice", "MessageNew"))
        await start(postgres_url=url.replace("postgres@", f"{role}@"))
        await log.until(("alice", "MessageNew"))
        await until_left(mail, 1)

    async def test_no_database(self, heard: Heard, server: Postgres) -> None:
        await heard.start(server.url("nowhere"))
        assert (
            "(--postgres-url (TIDINGS_POSTGRES_URL) names a user or database that does not exist)"
            in await heard.reason()
        )

    async def test_no_server(self, heard: Heard) -> None:
        await heard.start("postgresql://postgres@127.0.0.1:1/mail")
        assert "Connection refused" in await heard.reason()

    async def test_lanes_are_missing(self, heard: Heard, url: str, mail: AsyncConnection) -> None:
        await mail.execute("TRUNCATE tidings_outbox_lane")
        await heard.start(url)
        assert "must have 16 rows" in await heard.reason()


class Heard:
    """What a publisher says of an outbox that it cannot use."""

    def __init__(self, start: Start, logs: Sequence[MutableMapping[str, Any]]) -> None:
        self._start = start
        self._logs = logs

    async def start(self, url: str) -> Running:
        return await self._start(postgres_url=url)

    async def reason(self) -> str:
        def said() -> list[str]:
            return [str(line["reason"]) for line in self._logs if line["event"] == "the outbox is away"]

        await eventually(lambda: bool(said()))
        return said()[0]


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A server to be hurt."""
    with Postgres() as server:
        yield server


class TestAServerThatFails:
    async def test_killed_and_started_again(self, start: Start, own: Postgres, log: Log) -> None:
        url = own.fresh_url()
        running = await start(postgres_url=url)
        await eventually(lambda: running.value("tidings_source_connected", source="postgres") == 1)
        await asyncio.to_thread(own.kill)
        await eventually(lambda: running.value("tidings_source_connected", source="postgres") == 0)
        own.launch()
        await asyncio.to_thread(own.wait_ready)
        async with await AsyncConnection.connect(url, autocommit=True) as mail:
            await mail.execute(INSERT, ("alice", "MessageNew"))
        await log.until(("alice", "MessageNew"))

    async def test_frozen(self, start: Start, own: Postgres, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox_module, "ANSWER_SECONDS", 1.0)
        url = own.fresh_url()
        running = await start(postgres_url=url)
        await eventually(lambda: running.value("tidings_source_connected", source="postgres") == 1)
        own.pause()
        try:
            await eventually(lambda: running.value("tidings_source_connected", source="postgres") == 0)
        finally:
            own.resume()
        async with await AsyncConnection.connect(url, autocommit=True) as mail:
            await mail.execute(INSERT, ("alice", "MessageNew"))
        await log.until(("alice", "MessageNew"))


async def test_of_a_publisher_that_hangs_the_rows_go_to_others(
    start: Start, url: str, mail: AsyncConnection, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mail.execute(INSERT, ("alice", "MessageNew"))
    hanging = await outbox_module.Outbox.connect(url)
    # Not before: a server takes longer for a connection than for a question.
    monkeypatch.setattr(outbox_module, "ANSWER_SECONDS", promised(0.5))

    async def hang() -> None:
        async with hanging.take() as taken:
            assert len(taken.rows) == 1
            await start(postgres_url=url)
            await log.until(("alice", "MessageNew"))

    with pytest.raises(SourceAway, match=r"terminating connection|the connection is"):
        await hang()
    await hanging.close()
    await until_left(mail)
