"""The webmail's composition root."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from asyncio_pprof.traces import Family
from tidings.auth.access import client_access
from tidings.auth.gatekeeper import Gatekeeper
from tidings.auth.settings import AuthSettings
from tidings.errors import SettingsError, StorageFault
from tidings.ops.http.serving import UvicornService
from tidings.ops.process.runtime import Runtime
from tidings.ops.service import Service
from tidings.webmail import message
from tidings.webmail.announcer import IngestAnnouncer, SourceAnnouncer
from tidings.webmail.app import create_app
from tidings.webmail.mailboxes import Mailboxes
from tidings.webmail.settings import WebmailSettings

REQUESTS_SHARE: Final = 0.5
"""Of what others may make the process hold, the part of requests and answers."""
SEED_ACCOUNTS: Final = ("alice", "bob")
WELCOME_SUBJECT: Final = "Welcome to Tidings"
WELCOME_TEXT: Final = (
    "This mailbox is a Maildir. Whatever changes in it, by whichever program, shows on this page as it happens: "
    "the page does not poll, it is told over a WebSocket, one for all its tabs.\n\n"
    "Try it: send yourself a test mail, or deliver one from a shell and watch this page.\n"
)


def compose(settings: WebmailSettings, runtime: Runtime) -> list[Service]:
    """The webmail as a service with a port of its own.

    Raises SettingsError when the settings contradict each other or the Maildir root cannot be used.
    """
    access = client_access(settings, settings.host, runtime.registry, runtime.health, runtime.pool)
    mailboxes = open_mailboxes(settings.maildir, settings)
    announcer: IngestAnnouncer | None = None
    if settings.ingest_url is not None:
        token = settings.ingest_token.get_secret_value() if settings.ingest_token is not None else None
        announcer = IngestAnnouncer(settings.ingest_url, token, runtime.registry)
    app = create_app(
        mailboxes,
        access.gatekeeper,
        announcer or SourceAnnouncer(),
        runtime.pool,
        _requests(runtime),
        gateway_url=settings.gateway_url,
        open_account=_open_account(settings),
    )
    account = runtime.budget.account("requests", REQUESTS_SHARE)
    server = UvicornService("webmail", app, settings.host, settings.port, account)
    return [*access.services, *filter(None, [announcer]), server]


def create_fallback(maildir: Path, settings: AuthSettings, keeper: Gatekeeper, runtime: Runtime) -> ASGIApp:
    """The webmail as the application behind a gateway, whose Maildirs a Maildir source watches.

    `keeper` is the gateway's. Raises SettingsError as `compose` does.
    """
    return create_app(
        open_mailboxes(maildir, settings),
        keeper,
        SourceAnnouncer(),
        runtime.pool,
        _requests(runtime),
        gateway_url=None,
        open_account=_open_account(settings),
    )


def open_mailboxes(root: Path, settings: AuthSettings) -> Mailboxes:
    """The Maildirs below `root`. Without authentication, an empty `root` gets two accounts to try things with.

    Raises SettingsError when `root` cannot be used.
    """
    mailboxes = Mailboxes(root)
    try:
        if settings.auth == "none" and not mailboxes.accounts():
            for account in SEED_ACCOUNTS:
                mailboxes.create(account)
                welcome = message.compose("Tidings", account, WELCOME_SUBJECT, WELCOME_TEXT, datetime.now(UTC))
                mailboxes.deliver(account, welcome)
    except (OSError, StorageFault) as error:
        raise SettingsError(f"--maildir {root}: {getattr(error, 'strerror', None) or error}") from None
    return mailboxes


def _open_account(settings: AuthSettings) -> str | None:
    return SEED_ACCOUNTS[0] if settings.auth == "none" else None


def _requests(runtime: Runtime) -> Family:
    return runtime.requests.family("requests, webmail", "from request head to response head")
