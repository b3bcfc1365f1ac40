"""`POST /debug/accounts/{account}/disconnect` of the admin listener: close an account's connections."""

from __future__ import annotations

from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidings.gateway.formats.parked import Lot
from tidings.gateway.model.connection import Leave
from tidings.gateway.watching.account_page import ACCOUNT_PATH, connections_of
from tidings.gateway.watching.main_loop import MainLoop
from tidings.ops.admin.listeners import document_response
from tidings.ops.http.problems import problem_response
from tidings.wire.change import account_fault

DISCONNECT_PATH: Final = f"{ACCOUNT_PATH}/disconnect"
DISCONNECT_SECONDS: Final = 5.0
CODES: Final = {"1008": Leave.DISCONNECTED, "1012": Leave.MOVED}
"""By WebSocket close code (RFC 6455 section 7.4.1): the client needs a new token, or connects again."""

_log = structlog.get_logger()


class Disconnect:
    """Answers from `attach` on."""

    def __init__(self, main: MainLoop) -> None:
        self.route = Route(DISCONNECT_PATH, self._answer, methods=["POST"])
        self._main = main
        self._lot: Lot | None = None

    def attach(self, lot: Lot) -> None:
        """Close connections of these."""
        self._lot = lot

    async def _answer(self, request: Request) -> Response:
        account, code = request.path_params["account"], request.query_params.get("code", "1008")
        fault = account_fault(account)
        if fault is not None:
            return problem_response(400, f"the account {fault}")
        if code not in CODES:
            return problem_response(400, f"code must be one of {', '.join(CODES)}")
        if self._lot is None:
            return problem_response(503, "the gateway has not started yet")
        try:
            count = await self._main.run(_disconnect(self._lot, account, CODES[code]), DISCONNECT_SECONDS)
        except TimeoutError:
            return problem_response(503, self._main.silence())
        asked_from = request.client.host if request.client is not None else "the admin process"
        _log.warning("account disconnected", account=account, connections=count, code=int(code), asked_from=asked_from)
        return document_response({"account": account, "disconnected": count})


async def _disconnect(lot: Lot, account: str, why: Leave) -> int:
    found = await connections_of(account, lot.reactor)
    for connection in found:
        connection.handler.leave(connection, why)
    return len(found)
