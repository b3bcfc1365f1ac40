from __future__ import annotations

from unittest import mock

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidings.gateway.watching.account_join import Accounts, joined
from tidings.gateway.watching.account_page import account_response
from tidings.ops.process.workers.peers import Peers

TOLD = {
    "account": "alice",
    "shard": 3,
    "feed": None,
    "connections": [],
    "history": [],
    "log": {},
    "changes": [{"at": "10:01", "offset": 8, "changed": None}],
}
"""What a worker knows, its part of the log included."""


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


async def test_the_page_for_people_is_made_of_what_workers_tell_programs() -> None:
    """Whoever asks for a page asks no worker for one, with `?format=html` as with what a browser accepts."""

    async def worker(request: Request) -> Response:
        return account_response(request, dict(TOLD))

    path = "/debug/accounts/{account}"
    transport = httpx2.ASGITransport(Starlette(routes=[Route(path, worker)]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        peers = mock.create_autospec(Peers, instance=True, unanswered={1: 0})
        peers.ask_all.return_value = {1: (100, await client.get("/debug/accounts/alice?seconds=0"))}
        peers.client.return_value = client
        admin = httpx2.ASGITransport(Starlette(routes=[Route(path, Accounts(peers))]))
        async with httpx2.AsyncClient(transport=admin, base_url="http://localhost") as http:
            page = await http.get("/debug/accounts/alice?format=html&seconds=60")
            document = (await http.get("/debug/accounts/alice")).json()
    assert page.status_code == 200
    assert "in the log, offset 8: a change" in page.text
    assert document["changes"] == TOLD["changes"]
