"""The FastAPI applications of the comparison, written as one would write them well; uvicorn runs them."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Annotated

import jwt
from fastapi import (
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Response,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.tokens import SECRET


def account_of(connection: HTTPConnection) -> str:
    """The account that the Bearer token names."""
    _, _, token = connection.headers.get("authorization", "").partition(" ")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.PyJWTError:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(1008, "bad token") from None
        raise HTTPException(401, "bad token") from None
    return str(claims["sub"])


Account = Annotated[str, Depends(account_of)]

push = FastAPI(openapi_url=None)
_sockets: defaultdict[str, set[WebSocket]] = defaultdict(set)


@push.websocket("/ws")
async def parked(websocket: WebSocket, account: Account) -> None:
    """Register the client until it goes."""
    await websocket.accept()
    _sockets[account].add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        _sockets[account].discard(websocket)
        if not _sockets[account]:
            del _sockets[account]


@push.post("/changes", status_code=202)
async def changes(told: dict[str, dict[str, str]]) -> None:
    """Tell every client of these accounts; account to states by data type."""
    for account, states in told.items():
        message = json.dumps({"@type": "StateChange", "changed": {account: states}}, separators=(",", ":"))
        for websocket in tuple(_sockets.get(account, ())):
            try:
                await websocket.send_text(message)
            except (WebSocketDisconnect, RuntimeError):
                _sockets[account].discard(websocket)


poll = FastAPI(openapi_url=None)
STATE = "0123456789abcdef"


@poll.get("/changes")
async def polled(account: Account, response: Response, if_none_match: Annotated[str | None, Header()] = None) -> object:
    """304 while the client's state is the present one, else the present states."""
    tag = f'"{STATE}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return {"@type": "StateChange", "changed": {account: {"Email": STATE}}}


async def taken(request: Request) -> JSONResponse:
    """As little as an ingest endpoint can do: read the events, count them, check nothing and keep nothing."""
    events = json.loads(await request.body())
    return JSONResponse({"accepted": len(events) if isinstance(events, list) else 1}, 202)


ingest = Starlette(routes=[Route("/v1/changes", taken, methods=["POST"])])
