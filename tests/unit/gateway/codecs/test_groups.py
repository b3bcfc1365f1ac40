from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.gateway.codecs.groups import Groups, ungrouped
from tidings.wire.shard import MAX_SHARDS, shard_of

BASE = "https://mail.example"


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/jmap/ws", "/jmap/ws"),
        ("/jmap/ws/", "/jmap/ws"),
        ("/g/0/jmap/ws", "/jmap/ws"),
        ("/g/1023/jmap/changes/", "/jmap/changes"),
        ("/g/7/.well-known/jmap", "/.well-known/jmap"),
    ],
)
def test_a_group_in_front_of_a_path_says_nothing_of_what_is_asked_for(path: str, plain: str) -> None:
    assert ungrouped(path) == plain


@pytest.mark.parametrize(
    "path",
    [
        *("/g/jmap/ws", "/g//jmap/ws", "/g/1024/jmap/ws", "/g/00/jmap/ws", "/g/01/jmap/ws", "/g/+1/jmap/ws"),
        *("/g/-1/jmap/ws", "/g/%31/jmap/ws", "/g/1_0/jmap/ws", "/g/\u0661/jmap/ws", "/G/1/jmap/ws", "//g/1/jmap/ws"),
        *("/g/1/g/2/jmap/ws", "/g/1//jmap/ws", "/g/1/./jmap/ws", "/g/1", "/g/1/", "/x/g/1/jmap/ws", "/g/1jmap/ws"),
        f"/g/{'1' * 10_000}/jmap/ws",
    ],
)
def test_what_is_written_in_any_other_way_is_another_path(path: str) -> None:
    assert ungrouped(path) != "/jmap/ws"


@given(st.integers(1, MAX_SHARDS), st.integers(0, MAX_SHARDS - 1))
def test_every_group_that_there_can_be_is_known(shards: int, group: int) -> None:
    groups = Groups(shards, shards)
    assert ungrouped(f"{groups.base('', f'user{group}')}/jmap/ws") == "/jmap/ws"


@given(st.text(min_size=1), st.integers(1, MAX_SHARDS), st.data())
def test_accounts_of_one_shard_are_in_one_group(account: str, shards: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, shards))
    assert Groups(count, shards).of(account) == shard_of(account, shards) % count


def test_push_urls_lead_to_the_group_of_the_primary_account() -> None:
    assert shard_of("alice", 64) == 7
    assert Groups(1, 64).base(BASE, "alice") == BASE
    assert Groups(4, 64).base(BASE, "alice") == f"{BASE}/g/3"
    assert Groups(4, 64, "https://push{group}.mail.example").base(BASE, "alice") == "https://push3.mail.example"
