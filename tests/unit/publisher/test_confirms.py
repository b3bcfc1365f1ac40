from __future__ import annotations

from structlog.testing import capture_logs

from tests.support.unreliable import UnreliableLog
from tidings.errors import LogUnavailable
from tidings.publisher.confirms import Confirms

ERROR = LogUnavailable("no answer from the broker in time")


async def test_many_shards_are_one_failure() -> None:
    log = UnreliableLog(4)
    await log.open()
    confirms = Confirms(log)
    with capture_logs() as lines:
        confirms.confirmed(0)
        for _ in range(100):
            for shard in range(3):
                confirms.failed(shard, ERROR)
            confirms.confirmed(3)
        for shard in range(3):
            confirms.confirmed(shard)
    assert [line["event"] for line in lines] == ["the log does not confirm", "the log confirms again"]
    assert lines[0]["error"] == str(ERROR)
    assert lines[1]["failures"] == 300


async def test_of_a_log_that_is_away_the_log_tells() -> None:
    log = UnreliableLog(4)
    await log.open()
    log.accepts = False
    with capture_logs() as lines:
        Confirms(log).failed(0, ERROR)
    assert lines == []
