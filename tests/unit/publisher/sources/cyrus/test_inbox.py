from __future__ import annotations

import threading

from tidings.publisher.sources.cyrus.inbox import ENTRY_BYTES, Inbox


def test_messages_come_out_in_order_and_once() -> None:
    inbox = Inbox()
    for message in (b"1", b"2", b"3"):
        inbox.put(message)
    assert inbox.take(2) == ([b"1", b"2"], {})
    assert inbox.take(2) == ([b"3"], {})
    assert inbox.take(2) == ([], {})


def test_a_full_inbox_knows_what_it_did_not_take() -> None:
    inbox = Inbox(most_bytes=2 * (ENTRY_BYTES + 10))
    for _ in range(4):
        inbox.put(b"0123456789")
    assert inbox.take(1) == ([b"0123456789"], {"no room": 2})
    inbox.put(b"0123456789")
    inbox.put(b"")
    assert inbox.take(9) == ([b"0123456789"] * 2, {"no room": 1})


def test_what_is_lost_is_counted_by_reason() -> None:
    inbox = Inbox()
    for reason in ("a", "b", "a"):
        inbox.lose(reason)
    assert inbox.take(1) == ([], {"a": 2, "b": 1})
    assert inbox.take(1) == ([], {})


def test_who_waits_is_woken_by_whatever_comes() -> None:
    for happens in (lambda inbox: inbox.put(b"1"), lambda inbox: inbox.lose("a"), Inbox.close):
        inbox = Inbox()
        waiting = threading.Thread(target=inbox.wait)
        waiting.start()
        happens(inbox)
        waiting.join(60)
        assert not waiting.is_alive()
    inbox.wait_closed(60)


def test_a_wait_ends() -> None:
    Inbox().wait(0.001)
    Inbox().wait_closed(0.001)


def test_it_has_ended_when_it_is_closed_and_empty() -> None:
    inbox = Inbox()
    inbox.put(b"1")
    told = [(inbox.closed, inbox.ended)]
    inbox.close()
    told.append((inbox.closed, inbox.ended))
    inbox.take(1)
    told.append((inbox.closed, inbox.ended))
    assert told == [(False, False), (True, False), (True, True)]
