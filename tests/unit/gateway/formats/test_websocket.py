from __future__ import annotations

from unittest import mock

import pytest

from tests.support.connections import connection_of
from tidings.gateway.formats.parked import REFRESH_SECONDS
from tidings.gateway.formats.websocket import HEARD, QUIET, ParkedWebSocket
from tidings.gateway.model.connection import CLOSED, Connection
from tidings.ops.budget import Budget


@pytest.mark.parametrize("moment", [HEARD, QUIET])
def test_who_is_closed_by_its_fresh_cursor_is_sent_nothing_more(moment: float) -> None:
    """Such as where there is no room for what its socket does not take."""

    def close(connection: Connection) -> None:
        connection.handler = CLOSED

    lot = mock.Mock()
    lot.reactor.blocked_since.return_value = None
    lot.hub.refresh.side_effect = close
    handler = ParkedWebSocket(lot, 1024, 45.0, Budget().account("messages"))
    connection = connection_of("alice")
    connection.handler, connection.moment = handler, moment
    assert handler.timed(connection, REFRESH_SECONDS) is None
    lot.hub.refresh.assert_called_once_with(connection)
    lot.reactor.send.assert_not_called()
