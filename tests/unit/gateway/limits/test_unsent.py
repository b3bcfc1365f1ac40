"""What a socket did not take."""

from __future__ import annotations

from tests.support.connections import connection_of
from tidings.gateway.limits.unsent import UNSENT_BYTES, Unsent
from tidings.ops.budget import Budget


def test_the_rest_of_a_write_is_kept_and_counted_until_it_is_sent() -> None:
    account = Budget().account("replies")
    unsent, one = Unsent(100, account), connection_of()
    assert one not in unsent.connections
    assert unsent.begin(one, b"rest", 7, 100.0)
    assert (list(unsent.connections), bytes(unsent.data(one)), account.held) == ([one], b"rest", UNSENT_BYTES + 4)
    assert unsent.append(one, b", more") is None
    assert list(unsent.holdings()) == [(one, UNSENT_BYTES + 10)]
    assert (unsent.size(one), account.held) == (10, UNSENT_BYTES + 10)
    assert not unsent.sent(one, 4, 9, 101.0)
    assert (bytes(unsent.data(one)), account.held) == (b", more", UNSENT_BYTES + 6)
    assert unsent.sent(one, 6, 9, 102.0)
    assert (one in unsent.connections, unsent.size(one), account.held) == (False, 0, 0)


def test_progress_is_what_the_kernel_got_rid_of() -> None:
    unsent, one = Unsent(100, Budget().account("replies")), connection_of()
    unsent.begin(one, b"rest", 7, 100.0)
    assert unsent.since(one, 7, 101.0) == 100.0
    assert unsent.since(one, 6, 102.0) == 102.0
    assert unsent.since(one, 6, 103.0) == 102.0
    unsent.sent(one, 1, 7, 104.0)
    assert unsent.since(one, 7, 105.0) == 104.0


def test_replies_add_no_more_than_so_much_to_one() -> None:
    unsent, one = Unsent(10, Budget().account("replies")), connection_of()
    assert unsent.begin(one, b"a push of any size", 0, 0.0)
    assert unsent.append(one, b"x") == "unread_replies"


def test_what_waits_for_all_is_bounded() -> None:
    account = Budget().account("replies", most=2 * UNSENT_BYTES + 20)
    unsent, one, two, three = Unsent(100, account), connection_of(), connection_of(), connection_of()
    assert unsent.begin(one, b"x" * 10, 0, 0.0)
    assert unsent.begin(two, b"x" * 10, 0, 0.0)
    assert not unsent.begin(three, b"", 0, 0.0)
    assert unsent.append(two, b"x") == "replies_full"
    unsent.forget(one)
    unsent.forget(one)
    assert unsent.append(two, b"x") is None
    unsent.forget(two)
    assert account.held == 0
