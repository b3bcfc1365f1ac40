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

from tidings.gateway.watching.account_page import account_response
from tidings.gateway.watching.disconnect import DISCONNECT_SECONDS
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
    """An ASGI application that asks all workers, with the first of its methods: `work_seconds` of work each."""

    methods: tuple[str, ...] = ("GET", "HEAD")
    work_seconds = 0.0

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        request = Request(scope, receive)
        if request.method in self.methods:
            response = await self._answer(request)
        else:
            response = problem_response(405, f"use {self.methods[0]}", {"Allow": ", ".join(self.methods)})
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, query = self._question(request)
        answers = await self._peers.ask_all(f"{path}?{query}", self.methods[0], self.work_seconds)
        for _, answer in answers.values():
            # What one cannot understand, none can.
            if answer.status_code == 400:
                return _passed_on(answer)
        told = {number: answer.json() for number, (_, answer) in answers.items() if answer.status_code == 200}
        return await self._join(request, told, sorted(self._peers.unanswered.keys() - told.keys()))

    def _question(self, request: Request) -> tuple[str, str]:
        """The path and the query that workers are asked."""
        raise NotImplementedError

    async def _join(self, request: Request, told: Mapping[int, Document], unanswered: list[int]) -> Response:
        """One answer of what workers have told, by number."""
        raise NotImplementedError


class Accounts(_Asking):
    """What all workers know of an account."""

    def _question(self, request: Request) -> tuple[str, str]:
        return _path(request), "seconds=0"

    async def _join(self, request: Request, told: Mapping[int, Document], unanswered: list[int]) -> Response:
        if not told:
            return problem_response(503, "no worker answers")
        document = {"account": request.path_params["account"], **joined(told), "unanswered": unanswered}
        if request.query_params.get("seconds") != "0":
            # Whatever this one is asked for, a worker is asked for what can be read.
            query = request.url.include_query_params(format="json").query
            read = await self._read_log(min(told), f"{_path(request)}?{query}")
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


class Disconnects(_Asking):
    """Has all workers close an account's connections, and says how many those were."""

    methods = ("POST",)
    # A worker gives up before that, and says so: whoever answers nothing is stuck as a whole.
    work_seconds = DISCONNECT_SECONDS

    def _question(self, request: Request) -> tuple[str, str]:
        return f"{_path(request)}/disconnect", request.url.query

    async def _join(self, request: Request, told: Mapping[int, Document], unanswered: list[int]) -> Response:
        closed = sum(document["disconnected"] for document in told.values())
        if unanswered:
            missing = ", ".join(map(str, unanswered))
            detail = f"these workers did not answer: {missing}; the others closed {closed}"
            return problem_response(503, detail)
        return document_response({"account": request.path_params["account"], "disconnected": closed})


def _path(request: Request) -> str:
    return f"/debug/accounts/{quote(request.path_params['account'], safe='')}"


def _passed_on(answer: httpx2.Response) -> Response:
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
