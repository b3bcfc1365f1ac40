"""The pages of an account for all workers: what each knows of it, in one document; one reads the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidings.gateway.watching.account_page import account_response, search_response
from tidings.ops.admin.listeners import document_response
from tidings.ops.http.problems import problem_response
from tidings.ops.process.workers.peers import Peers

LOG_SECONDS: Final = 25.0

Document = dict[str, Any]


def joined(documents: Mapping[int, Mapping[str, Any]]) -> Document:
    """What workers list, each item with the worker's number, in the order of time; the rest by worker."""
    lists: dict[str, list[Document]] = {}
    rest: list[Document] = []
    for number, document in documents.items():
        own: Document = {"worker": number}
        for name, value in document.items():
            if isinstance(value, list):
                lists.setdefault(name, []).extend({"worker": number, **item} for item in value)
            else:
                own[name] = value
        rest.append(own)
    for items in lists.values():
        items.sort(key=lambda item: item.get("at") or "")
    return {"workers": rest, **lists}


class _Asking:
    """An ASGI application that asks all workers."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raise NotImplementedError


class Accounts(_Asking):
    """What all workers know of an account."""

    async def _answer(self, request: Request) -> Response:
        path = f"/debug/accounts/{quote(request.path_params['account'], safe='')}"
        answers = {number: answer for number, (_, answer) in (await self._peers.ask_all(f"{path}?seconds=0")).items()}
        for answer in answers.values():
            if answer.status_code == 400:
                return _passed_on(answer)
        told = {number: answer.json() for number, answer in answers.items() if answer.status_code == 200}
        if not told:
            return problem_response(503, "no worker answers")
        document = joined(told) | {"unanswered": sorted(self._peers.unanswered.keys() - told.keys())}
        if request.query_params.get("seconds") != "0":
            read = await self._read_log(min(told), f"{path}?{request.url.query}")
            if read is None:
                document["log"] = {"fault": f"worker {min(told)} did not answer"}
            elif read.status_code != 200:
                return _passed_on(read)
            else:
                whole = read.json()
                document |= {"log": whole["log"], "changes": whole["changes"]}
        return account_response(request, document)

    async def _read_log(self, number: int, target: str) -> httpx2.Response | None:
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await self._peers.client(number).get(target)
        except (TimeoutError, httpx2.HTTPError):
            return None


class Search:
    """An ASGI application that leads to accounts."""

    def __init__(self, peers: Peers) -> None:
        """Every worker would answer alike."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the search."""
        await search_response()(scope, receive, send)


class Disconnects(_Asking):
    """Has all workers close an account's connections, and says how many those were."""

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return problem_response(405, "this takes POST", {"Allow": "POST"})
        account = request.path_params["account"]
        path = f"/debug/accounts/{quote(account, safe='')}/disconnect?{request.url.query}"
        answers = {number: answer for number, (_, answer) in (await self._peers.ask_all(path, "POST")).items()}
        told = {number: answer.json() for number, answer in answers.items() if answer.status_code == 200}
        for answer in answers.values():
            if answer.status_code == 400:
                return _passed_on(answer)
        unanswered = sorted(self._peers.unanswered.keys() - told.keys())
        if unanswered:
            return problem_response(503, f"these workers did not answer: {', '.join(map(str, unanswered))}")
        closed = sum(document["disconnected"] for document in told.values())
        return document_response({"account": account, "disconnected": closed})


def _passed_on(answer: httpx2.Response) -> Response:
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
