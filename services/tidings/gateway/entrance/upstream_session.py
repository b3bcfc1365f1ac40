"""The session resource of the JMAP server behind us, for whom that server vouches for, with push URLs of ours."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from asyncio_pprof.traces import reached
from tidings.auth.gatekeeper import Gatekeeper
from tidings.auth.push_tokens import TOKEN_SECONDS, PushToken, PushTokens, tellable
from tidings.errors import UpstreamFault
from tidings.gateway.codecs.groups import Groups
from tidings.gateway.codecs.jmap_session import Proxied, fronted, read_session
from tidings.gateway.entrance.seen import peer_of
from tidings.gateway.entrance.session import NO_STORE, Sessions, base_url
from tidings.gateway.limits.address import Network, forwarded_for
from tidings.gateway.upstream.http import Answer, Caller, check_no_loop, credential
from tidings.ops.http.credentials import joined
from tidings.ops.http.problems import problem_response

if TYPE_CHECKING:
    from tidings.gateway.upstream.server import Upstream

RETRY_SECONDS = 5


def upstream_sessions(
    gatekeeper: Gatekeeper,
    upstream: Upstream,
    tokens: PushTokens,
    public_url: str,
    groups: Groups,
    trusted: Sequence[Network],
    proxied: Proxied | None,
) -> Sessions:
    """Sessions fetched with what each client shows, which goes to the server and nowhere else."""

    async def session(request: Request) -> Response:
        headers = joined(request.headers.items())
        gatekeeper.admit_origin("GET", headers)
        caller = Caller(credential(headers), forwarded_for(peer_of(request), headers, trusted))
        try:
            check_no_loop(headers)
            async with upstream.session(caller) as answer:
                reached(request.scope, f"answered by the JMAP server: {answer.status}")
                if answer.status != HTTPStatus.OK:
                    return Response(answer.body, answer.status, {**answer.passed_on(), **NO_STORE})
                body = _with_our_urls(answer, base_url(public_url, headers))
        except UpstreamFault as error:
            retry = {"Retry-After": str(RETRY_SECONDS)} if error.code == HTTPStatus.SERVICE_UNAVAILABLE else {}
            return problem_response(error.code, error.detail, {**NO_STORE, **retry})
        return Response(body, media_type="application/json", headers=NO_STORE)

    def _with_our_urls(answer: Answer, base: str) -> bytes:
        found = read_session(answer.body, answer.path)
        accounts = tellable(found.accounts)
        if not accounts:
            # There is nothing that could be pushed.
            return answer.body
        api = found.api_path if proxied is not None else ""
        token = tokens.make(PushToken(accounts, time.time() + TOKEN_SECONDS, api))
        return fronted(found, base, groups.base(base, accounts[0]), token, proxied)

    return session
