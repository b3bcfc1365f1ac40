"""How a request looks from here, through whatever is in between: for `tidings check --through`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from starlette.requests import Request

from tidings.gateway.limits.address import UNIX_PEER, Network, client_address
from tidings.ops.http.credentials import joined

ASKED: Final = "tidings-check"
"""The header field that asks for it. Other clients are told nothing of this."""


def peer_of(request: Request) -> str:
    """The address at the other end; empty when that is gone."""
    if request.client is not None:
        return request.client.host
    # The server of a Unix socket is its path, without a port.
    server = request.scope.get("server")
    return UNIX_PEER if server is not None and server[1] is None else ""


def seen(request: Request, trusted: Sequence[Network]) -> dict[str, str]:
    """Header fields with the address that the client counts for, and this version; none for who does not ask."""
    if ASKED not in request.headers:
        return {}
    client = client_address(peer_of(request), joined(request.headers.items()), trusted)
    return {"Tidings-Client": client.address, "Tidings-Version": version("tidings")}
