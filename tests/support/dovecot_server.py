"""A Dovecot of Debian in a root of its release, whatever its settings are for."""

from __future__ import annotations

import imaplib
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.support.ports import free_ports
from tests.support.roots import Program, Root, RootError, root
from tests.support.started import Started
from tests.support.waiting import patient

RELEASES: Final = {"2.3": "bookworm", "2.4": "trixie"}
READY_SECONDS: Final = 30.0


class DovecotServer(Started):
    """A server whose settings are in `home / "dovecot.conf"`, and whose users have one password."""

    packages: ClassVar[Sequence[str]]
    password: ClassVar[str]

    def __init__(self, version: str, home: Path) -> None:
        self.version = version
        self.home = home
        self.imap_port, self.lmtp_port = free_ports(2)
        self._program: Program | None = None

    def _root(self) -> Root:
        return root(RELEASES[self.version], *self.packages)

    def _serve(self) -> None:
        """Start it, when its settings are written, and return once it serves."""
        self._program = self._root().start(
            "/usr/sbin/dovecot", "-F", "-c", f"{self.home}/dovecot.conf", shown=self.home
        )
        self._program.start()
        for port in (self.imap_port, self.lmtp_port):
            self._wait_for(port)

    def close(self) -> None:
        """Kill all of it."""
        if self._program is not None:
            self._program.close()

    def _wait_for(self, port: int) -> None:
        assert self._program is not None
        deadline = time.monotonic() + patient(READY_SECONDS)
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
                    if connection.recv(1):
                        return
            except OSError:
                time.sleep(0.02)
            if self._program.code is not None or time.monotonic() > deadline:
                raise RootError(f"dovecot {self.version} does not serve:\n{self.said()}")

    def said(self) -> str:
        """What it has logged."""
        log = self.home / "dovecot.log"
        output = "" if self._program is None else self._program.said()
        return output + (log.read_text(errors="replace")[-8_000:] if log.exists() else "")

    def imap(self, user: str) -> imaplib.IMAP4:
        """A connection of a user's, logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=patient(READY_SECONDS))
        client.login(user, self.password)
        return client
