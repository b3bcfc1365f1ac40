from __future__ import annotations

import time

from tidings.ops.health import STUCK_SECONDS
from tidings.ops.process.workers.board import FAULT_BYTES, Board, SharedHealth


def test_a_process_that_runs_and_does_not_beat_is_stuck() -> None:
    board = Board(2)
    now = 1000.0
    for seat in (board.supervisor, *board.workers.values()):
        seat.pid, seat.beat = 1, now
    assert board.stuck(now + STUCK_SECONDS - 0.1) == []
    board.workers[1].beat = now + 1
    assert board.stuck(now + STUCK_SECONDS) == ["supervisor", "worker 2"]
    board.workers[2].pid = 0
    assert board.stuck(now + STUCK_SECONDS) == ["supervisor"]


def test_a_beat_is_on_the_board() -> None:
    board = Board(3)
    health = SharedHealth(board.workers[2])
    before = time.monotonic()
    health.beat()
    assert health.alive()
    assert [seat.beat >= before for seat in board.workers.values()] == [False, True, False]


def test_a_fault_is_cut_where_the_board_ends() -> None:
    seat = Board(1).workers[1]
    seat.fault = b"x" * (FAULT_BYTES - 1)
    assert len(seat.fault) == FAULT_BYTES - 1
    assert seat.pid == 0
