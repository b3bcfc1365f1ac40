from __future__ import annotations

from tidings.gateway.watching.account_join import joined


def test_lists_are_joined_in_the_order_of_time_and_the_rest_stays_with_its_worker() -> None:
    document = joined(
        {
            1: {"account": "alice", "history": [{"at": "10:02"}, {"at": "10:04"}], "connections": [{"state": "idle"}]},
            3: {"account": "alice", "history": [{"at": "10:03"}], "connections": []},
        }
    )
    assert document == {
        "workers": [{"worker": 1, "account": "alice"}, {"worker": 3, "account": "alice"}],
        "history": [{"worker": 1, "at": "10:02"}, {"worker": 3, "at": "10:03"}, {"worker": 1, "at": "10:04"}],
        "connections": [{"worker": 1, "state": "idle"}],
    }
