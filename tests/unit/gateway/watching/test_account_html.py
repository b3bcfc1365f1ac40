from __future__ import annotations

from typing import Any

import pytest

from tidings.gateway.watching.account_html import account_page, search_page

EVIL = "<script>alert('x')</script>"


def document(**more: Any) -> dict[str, Any]:
    connection = {
        "connection": "7f",
        "format": "websocket",
        "state": "subscribed",
        "types": ["Email", EVIL],
        "subscribed_at": "10:00",
        "told_at": None,
        "ends_at": None,
    }
    return {
        "account": "alice",
        "shard": 3,
        "feed": {"live": True},
        "connections": [connection],
        "history": [{"at": "10:02", "what": "pushed to 1", "connection": "7f"}],
        "changes": [
            {"at": "10:02", "offset": 9, "changed": {"Email": "s2", "Thread": None}},
            {"at": "10:01", "offset": 8, "changed": None},
        ],
        **more,
    }


def test_the_newest_is_told_first_and_a_change_before_its_push() -> None:
    page = account_page(document())
    texts = [
        "pushed to 1",
        "in the log, offset 9: Email is at s2, Thread has changed",
        "in the log, offset 8: a change",
    ]
    assert sorted(texts, key=page.index) == texts
    assert "Shard 3, the feed is live." in page


def test_what_has_no_time_comes_last() -> None:
    page = account_page(document(changes=[{"at": None, "offset": 7, "changed": {"Email": "s1"}}]))
    assert page.index("pushed to 1") < page.index("in the log, offset 7: Email is at s1")


def test_of_workers_each_says_how_its_feed_is() -> None:
    parts = [{"worker": 1, "shard": 3, "feed": None}, {"worker": 2, "shard": 3, "feed": {"live": False}}]
    page = account_page(document(workers=parts))
    assert "Worker 1: shard 3, no feed" in page
    assert "Worker 2: shard 3, the feed is not live" in page


def test_nobody_and_nothing() -> None:
    page = account_page(document(connections=[], history=[], changes=[]))
    assert "No client of this account is connected here." in page
    assert "This gateway has no record of this account." in page


@pytest.mark.parametrize(
    "page",
    [
        account_page(document(account=f'"{EVIL}')),
        account_page(document(history=[{"at": EVIL, "what": EVIL, "connection": EVIL}])),
        account_page(document(changes=[{"at": EVIL, "offset": 1, "changed": {EVIL: EVIL}}])),
        search_page([(f"'{EVIL}", 0.5)]),
    ],
)
def test_what_others_have_named_is_text(page: str) -> None:
    assert "alert" in page
    assert "<script>alert" not in page
    assert '""<' not in page


def test_accounts_that_are_pushed_to_most_lead_to_their_pages() -> None:
    assert "<a href='a%2Fb%3Fc%27@x'>a/b?c&#x27;@x</a><td>50%" in search_page([("a/b?c'@x", 0.5)])
    assert "<table" not in search_page([])
