"""The webmail over HTTP: the page, the browser client, and a small JSON API over the Maildirs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from asyncio_pprof.traces import Family, Followed, reached
from tidings.auth.gatekeeper import Gatekeeper, settled
from tidings.auth.identity import Identity
from tidings.errors import MailboxError, NoSuchMailbox, Overloaded, RequestRejected
from tidings.ops.http.credentials import joined
from tidings.ops.pool import WorkerPool
from tidings.webmail import html, message
from tidings.webmail.announcer import Announcer
from tidings.webmail.bodies import Flags, TestMail, check_own_page, read_json, read_offset, read_path
from tidings.webmail.headers import SecurityHeaders, kept_as, page_policy
from tidings.webmail.mail.reading import Content
from tidings.webmail.mailboxes import Mailboxes
from tidings.webmail.problems import NO_STORE, problem
from tidings.webmail.turns import Turns

STATIC: Final = Path(__file__).parent / "static"
WEBSOCKET_PATH: Final = "/jmap/ws"
REVALIDATE: Final = {"Cache-Control": "no-cache"}


def client_directory() -> Path:
    """Where the browser client is: inside an installed package, or beside a source checkout's services."""
    packaged = STATIC / "client"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "clients" / "js"


def create_app(
    mailboxes: Mailboxes,
    gatekeeper: Gatekeeper,
    announcer: Announcer,
    pool: WorkerPool,
    requests: Family,
    *,
    gateway_url: str | None,
    open_account: str | None,
) -> ASGIApp:
    """The webmail.

    Files are read and written in `pool`, by turns of the accounts; the family `requests` follows what is asked.
    `gateway_url` is where browsers find the gateway, None when it serves this page itself. `open_account` is the
    account shown to who asks for none, and not None means that everybody may see every account.
    """
    api = _Api(mailboxes, gatekeeper, announcer, pool, gateway_url, open_account)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestRejected):
            gatekeeper.refusals.refused(error.reason)
        return await problem(request, error)

    app = Starlette(
        routes=[
            Route("/", _page),
            Mount("/client", Revalidated(directory=client_directory())),
            Mount("/static", Revalidated(directory=STATIC)),
            Route("/api/session", api.session),
            Route("/api/messages", api.inbox),
            Route("/api/messages", api.send, methods=["POST"]),
            Route("/api/messages/{id}", api.read),
            Route("/api/messages/{id}", api.flag, methods=["PATCH"]),
            Route("/api/messages/{id}", api.delete, methods=["DELETE"]),
            Route("/api/messages/{id}/html", api.document),
            Route("/api/messages/{id}/attachment", api.attachment),
        ],
        exception_handlers=dict.fromkeys(
            (RequestRejected, MailboxError, Overloaded, HTTPException, Exception), refused
        ),
    )
    return SecurityHeaders(Followed(app, app.routes, requests), page_policy(gateway_url))


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers=REVALIDATE)


class Revalidated(StaticFiles):
    """Files that a browser asks for again: modules of two versions would not fit together."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update(REVALIDATE)
        return response


class _Api:
    """The JSON API. Every request names its account as the gateway's do: `?account=`, or by its token."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        gatekeeper: Gatekeeper,
        announcer: Announcer,
        pool: WorkerPool,
        gateway_url: str | None,
        open_account: str | None,
    ) -> None:
        self._mailboxes = mailboxes
        self._gatekeeper = gatekeeper
        self._announcer = announcer
        self._pool = pool
        self._turns = Turns(pool)
        self._gateway_url = gateway_url
        self._open_account = open_account

    async def session(self, request: Request) -> Response:
        """Who this is, and where changes are pushed from."""
        identity = await self._admit(request)
        accounts = list(identity.accounts)
        if self._open_account is not None:
            accounts = await self._pool.run(self._mailboxes.accounts)
        account = identity.accounts[0]
        push_path = f"{WEBSOCKET_PATH}?{urlencode({'account': account})}"
        return _json(
            {
                "account": account,
                "accounts": accounts,
                "pushUrl": f"{(self._gateway_url or '').rstrip('/')}{push_path}",
            }
        )

    async def inbox(self, request: Request) -> Response:
        """Messages, newest first, from `offset` on, and of the one that is `open` whether it is still there.

        `now` is this machine's clock, to compare `touched` with.
        """
        account = await self._account(request)
        offset, asked = read_offset(request), request.query_params.get("open")
        inbox = await self._turns.run(account, lambda: self._mailboxes.inbox(account, offset, asked))
        return _json({"now": time.time(), **asdict(inbox)})

    async def read(self, request: Request) -> Response:
        """One message, or the one attached to it that `part` names; HTML is left to `document`."""
        content, unread = await self._content(request, read_path(request))
        shown = asdict(content)
        body = [
            {"part": part.part, "name": part.name, "text": None if part.html else part.content}
            for part in content.shown
        ]
        del shown["shown"]
        html_shown = any(part.html for part in content.shown)
        return _json({**shown, "unread": unread, "html": html_shown, "body": body})

    async def document(self, request: Request) -> Response:
        """The HTML that `part` names, or the message's first, as the document of a sandboxed frame."""
        *inside, number = read_path(request) or (None,)
        content, _ = await self._content(request, inside)
        shown = (part.content for part in content.shown if part.html and number in (None, part.part))
        headers = {**NO_STORE, "Content-Security-Policy": html.DOCUMENT_POLICY}
        return HTMLResponse(html.document(next(shown, "")), headers=headers)

    async def attachment(self, request: Request) -> Response:
        """The part that `part` names, as a file to keep."""
        account = await self._account(request)
        message_id, path = request.path_params["id"], read_path(request)
        if not path:
            raise RequestRejected(400, "part", "part: say which part of the message")
        download = await self._turns.run(account, lambda: self._mailboxes.attachment(account, message_id, path))

        async def pieces() -> AsyncIterator[bytes]:
            try:
                while piece := await self._turns.patiently(account, download.next):
                    yield piece
            finally:
                download.close()

        return StreamingResponse(pieces(), media_type="application/octet-stream", headers=kept_as(download.part.name))

    async def send(self, request: Request) -> Response:
        """Deliver a test mail to an account of this webmail."""
        check_own_page(request)
        sender = await self._account(request)
        mail = await read_json(request, TestMail)
        recipient = mail.to.removesuffix(f"@{message.LOCAL_DOMAIN}")

        def deliver() -> None:
            now = datetime.now(UTC)
            self._mailboxes.deliver(recipient, message.compose(sender, recipient, mail.subject, mail.text, now))

        try:
            await self._turns.run(sender, deliver)
        except NoSuchMailbox:
            raise RequestRejected(422, "recipient", "to: there is no mailbox with this name") from None
        reached(request.scope, "stored")
        await self._announcer.announce(recipient, "MessageNew")
        return Response(status_code=201)

    async def flag(self, request: Request) -> Response:
        """Flag a message as read or unread."""
        check_own_page(request)
        account = await self._account(request)
        flags = await read_json(request, Flags)
        message_id = request.path_params["id"]
        if await self._turns.run(account, lambda: self._mailboxes.set_unread(account, message_id, flags.unread)):
            await self._announcer.announce(account, "FlagsClear" if flags.unread else "MessageRead")
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        check_own_page(request)
        account = await self._account(request)
        message_id = request.path_params["id"]
        await self._turns.run(account, lambda: self._mailboxes.delete(account, message_id))
        await self._announcer.announce(account, "MessageExpunge")
        return Response(status_code=204)

    async def _content(self, request: Request, inside: Sequence[int]) -> tuple[Content, bool]:
        account = await self._account(request)
        message_id = request.path_params["id"]
        return await self._turns.run(account, lambda: self._mailboxes.read(account, message_id, inside))

    async def _admit(self, request: Request) -> Identity:
        query = dict(request.query_params)
        if self._open_account is not None:
            query.setdefault("account", self._open_account)
        headers = joined(request.headers.items())
        identity = await settled(self._gatekeeper.admit(request.method, headers, query, upgrade=False))
        reached(request.scope, "authenticated")
        return identity

    async def _account(self, request: Request) -> str:
        return (await self._admit(request)).accounts[0]


def _json(body: object) -> Response:
    return JSONResponse(body, headers=NO_STORE)
