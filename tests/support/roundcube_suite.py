"""Roundcube with the plugin behind a web server, Dovecot, and all of Tidings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.support.apache import Apache
from tests.support.dovecot import Dovecot
from tests.support.nginx import Nginx
from tests.support.ports import free_ports
from tests.support.processes import Tidings
from tests.support.roundcube import Roundcube, one_origin, one_origin_by_apache
from tests.support.roundcube_page import RoundcubePage

TOKEN: Final = "token-of-dovecot-of-tests"
_MESSAGE: Final = """\
From: zoe@mail.example\r
To: {user}\r
Subject: {subject}\r
Message-ID: <{subject}@mail.example>\r
\r
body\r
"""


@dataclass
class Suite:
    """Tidings is one process, `up`, which can be ended and started again."""

    roundcube: Roundcube
    dovecot: Dovecot
    front: Nginx | Apache
    url: str
    up: Tidings
    flags: tuple[str, ...]

    def start(self) -> None:
        """Start Tidings, where it was before."""
        self.up = _up(self.roundcube, self.flags)

    def deliver(self, user: str, *subjects: str) -> None:
        """Deliver messages one after the other."""
        with self.dovecot.lmtp() as lmtp:
            for subject in subjects:
                assert lmtp.sendmail("zoe@mail.example", [user], _MESSAGE.format(user=user, subject=subject)) == {}

    def make_folders(self, user: str, *names: str) -> None:
        """Make folders where they are not there."""
        with self.dovecot.imap(user) as imap:
            for name in names:
                imap.create(name)
                imap.subscribe(name)

    def append(self, user: str, folder: str, subject: str) -> None:
        """Have another client file a message."""
        with self.dovecot.imap(user) as imap:
            message = _MESSAGE.format(user=user, subject=subject).encode()
            assert imap.append(folder, "", "", message)[0] == "OK"

    def requests(self, page: RoundcubePage) -> list[str]:
        """What the page has asked for and was answered, as the web server has logged it."""
        return [line for line in self.front.requests() if page.agent in line]

    def refreshes(self, page: RoundcubePage) -> list[str]:
        """Those of its requests that look for what is new."""
        return [line for line in self.requests(page) if "_action=refresh " in line]


def _up(roundcube: Roundcube, flags: tuple[str, ...]) -> Tidings:
    up = Tidings("up", *flags, env={"TIDINGS_INGEST_TOKENS": TOKEN, "TIDINGS_JWT_SECRET": roundcube.secret})
    up.wait_started()
    return up


@contextmanager
def suite(directory: Path, debian: Literal["bookworm", "trixie"] = "bookworm") -> Iterator[Suite]:
    """All of it on Debian 12, behind nginx with TLS; or on Debian 13, behind Apache without."""
    (directory / "mail").mkdir(parents=True)
    gateway, ingest, port = free_ports(3)
    old = debian == "bookworm"
    dovecot = Dovecot("2.3" if old else "2.4", directory / "dovecot", ingest, TOKEN)
    flags = (
        *("--maildir", str(directory / "mail"), "--state-dir", str(directory / "state"), "--auth", "jwt"),
        *("--port", str(gateway), "--ingest-port", str(ingest), "--journal-dir", str(dovecot.journal)),
    )
    with ExitStack() as stack:
        roundcube = stack.enter_context(Roundcube(debian, directory / "roundcube", dovecot.imap_port, https=old))
        stack.enter_context(dovecot)
        front: Nginx | Apache = (
            one_origin(port, roundcube.port, gateway)
            if old
            else one_origin_by_apache(port, roundcube.port, gateway, directory / "apache")
        )
        stack.enter_context(front)
        url = f"{'https' if old else 'http'}://127.0.0.1:{port}/"
        installed = Suite(roundcube, dovecot, front, url, _up(roundcube, flags), flags)
        stack.callback(lambda: installed.up.stop())
        yield installed
