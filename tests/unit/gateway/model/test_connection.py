from tidings.gateway.model.connection import CLOSED, Connection, Leave
from tidings.gateway.model.pending import ON_HOLD


def test_what_is_let_go_holds_nothing() -> None:
    connection = Connection(7, CLOSED)
    connection.set_accounts(("alice", "bob"))
    connection.pending = ON_HOLD
    connection.expires = 5.0
    connection.let_go()
    assert connection.account_names() == ("",)
    kept = [getattr(connection, name) for name in ("form", "pending", "expires")]
    assert kept == [None] * 3


def test_one_that_is_closed_does_nothing_any_more() -> None:
    connection = Connection(7, CLOSED)
    CLOSED.received(connection, memoryview(b"late"))
    CLOSED.half_closed(connection)
    CLOSED.unblocked(connection)
    CLOSED.closed(connection, "late")
    CLOSED.leave(connection, Leave.SHUTDOWN)
    CLOSED.tell_outage(connection, stalled=True)
    assert CLOSED.timed(connection, 1.0) is None
