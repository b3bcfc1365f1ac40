from __future__ import annotations

import pytest

from tidings.errors import ImapError
from tidings.publisher.sources.imap import view as module
from tidings.publisher.sources.imap.folders import Folder
from tidings.publisher.sources.imap.responses import Condition, Listed, Other, Status, Touched
from tidings.publisher.sources.imap.view import View


def listed(name: bytes, *attributes: bytes) -> Listed:
    return Listed(name, frozenset(attributes))


@pytest.fixture
def view() -> View:
    view = View()
    view.begin()
    view.take(listed(b"INBOX", b"\\SUBSCRIBED"))
    view.take(Status(b"INBOX", {"messages": 3, "uidnext": 4}))
    view.take(listed(b"Old"))
    view.end()
    assert not view.news
    return view


def test_an_answer_says_what_there_is(view: View) -> None:
    assert view.folders == {b"INBOX": Folder(0, 4, 3, subscribed=True), b"Old": Folder()}
    view.begin()
    view.take(listed(b"INBOX"))
    view.take(Status(b"Else", {"messages": 3}))
    view.end()
    assert view.folders == {b"INBOX": Folder(0, 4, 3)}
    assert not view.news


def test_what_is_told_unasked_is_news(view: View) -> None:
    view.take(Status(b"INBOX", {"messages": 4}))
    assert view.news
    assert view.changed
    assert view.told_inbox
    assert not view.stale
    assert view.folders[b"INBOX"] == Folder(0, 4, 4, subscribed=True)


def test_of_another_mailbox_the_inbox_is_not_told(view: View) -> None:
    view.take(Status(b"Old", {"messages": 4}))
    assert view.changed
    assert not view.told_inbox


def test_what_is_not_known_has_to_be_asked_for(view: View) -> None:
    view.take(Status(b"New", {"messages": 4}))
    assert view.stale
    view.begin()
    view.end()
    view.take(listed(b"New"))
    assert view.stale


def test_what_happens_while_it_is_asked_is_asked_for_again(view: View) -> None:
    view.take(Touched(b"EXISTS"))
    view.begin()
    view.take(Touched(b"FETCH"))
    view.end()
    assert view.news
    assert view.flagged


def test_a_mailbox_may_go_while_it_is_asked(view: View) -> None:
    view.begin()
    view.take(listed(b"INBOX"))
    view.take(listed(b"Old"))
    view.take(Status(b"Old", {"messages": 1}))
    view.take(listed(b"Old", b"\\NONEXISTENT"))
    view.end()
    assert list(view.folders) == [b"INBOX"]


def test_some_have_no_status(view: View) -> None:
    view.begin()
    view.take(listed(b"INBOX"))
    view.take(listed(b"Parent", b"\\NOSELECT"))
    view.end()
    assert view.selectable == [b"INBOX"]


def test_a_mailbox_that_is_selected_is_no_news(view: View) -> None:
    view.take(Touched(b"EXISTS"))
    view.take(Other())
    view.selected()
    assert not view.news


def test_the_server_may_tell_no_more(view: View) -> None:
    view.take(Condition(None, b"OK", "notificationoverflow", "too much"))
    assert view.overflow
    assert view.news


def test_there_may_be_too_many(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOLDERS", 2)
    view.begin()
    view.take(listed(b"a"))
    view.take(listed(b"b"))
    with pytest.raises(ImapError, match="more than 2 mailboxes"):
        view.take(listed(b"c"))


def test_an_end_without_a_beginning_changes_nothing(view: View) -> None:
    before = dict(view.folders)
    view.end()
    assert view.folders == before
