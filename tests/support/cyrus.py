"""Cyrus IMAP 3.6 and 3.10 of Debian, each in a root of its release, with the settings that `integrations/cyrus` has."""

from __future__ import annotations

import base64
import imaplib
import shutil
import smtplib
import socket
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import httpx2
import jwt

from tests.support.ports import free_ports
from tests.support.roots import REPOSITORY, Program, RootError, root
from tests.support.started import Started
from tests.support.waiting import patient

INTEGRATION: Final = REPOSITORY / "integrations" / "cyrus"
RELEASES: Final = {"3.6": "bookworm", "3.10": "trixie"}
PACKAGES: Final = ("cyrus-imapd", "cyrus-caldav", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db")
USERS: Final = ("alice", "bob")
PASSWORD: Final = "secret"
TOKEN_SECRET: Final = b"a secret of thirty-two bytes or more"
READY_SECONDS: Final = 60.0
MESSAGE: Final = b"From: zoe@mail.example\r\nTo: alice@mail.example\r\nSubject: hello\r\n\r\nbody\r\n"
DOCUMENTED_SOCKET: Final = "/run/tidings-cyrus/notify"

_IMAPD: Final = """
configdirectory: {home}/conf
proc_path: {home}/proc
mboxname_lockpath: {home}/lock
defaultpartition: default
partition-default: {home}/spool
defaultsearchtier: t1
t1searchpartition-default: {home}/search
search_engine: xapian
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
admins: cyrus
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {home}/sasldb2
sasl_mech_list: PLAIN LOGIN
lmtp_downcase_rcpt: yes
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Sent | Trash
conversations: yes
conversations_db: twoskip
httpmodules: jmap
http_jwt_key_dir: {home}/jwt
jmap_nonstandard_extensions: yes
idlesocket: {home}/conf/socket/idle
lmtpsocket: {home}/conf/socket/lmtp
syslog_prefix: cyrus
"""
_MASTER: Final = """
START {{
  recover cmd="ctl_cyrusdb -C {home}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="imapd -C {home}/imapd.conf" listen="127.0.0.1:{imap}" prefork=1
  http cmd="httpd -C {home}/imapd.conf" listen="127.0.0.1:{http}" prefork=1
  lmtp cmd="lmtpd -C {home}/imapd.conf -a" listen="127.0.0.1:{lmtp}" prefork=1
}}
EVENTS {{
  checkpoint cmd="ctl_cyrusdb -C {home}/imapd.conf -c" period=30
}}
"""


class Cyrus(Started):
    """A server with USERS, whose notifications go to `socket` in the way of `kind`: "datagram" or "dlist"."""

    def __init__(self, version: str, kind: str) -> None:
        self.version = version
        self.kind = kind
        # Not below the directory of a test: the path of a socket has room for 107 bytes (unix(7)).
        self.home = Path(tempfile.mkdtemp(prefix="tidings-cyrus-"))
        self.socket = self.home / "run" / "notify"
        self.imap_port, self.http_port, self.lmtp_port = free_ports(3)
        self._program: Program | None = None
        self._log: socket.socket | None = None

    @property
    def notify_socket(self) -> str:
        """Where notifications go, as settings on both sides have it."""
        return f"{'dlist:' if self.kind == 'dlist' else ''}{self.socket}"

    def start(self) -> None:
        """Start it and return once it serves."""
        for name in ("conf/socket", "proc", "lock", "spool", "search", "run", "jwt"):
            (self.home / name).mkdir(parents=True)
        documented = (INTEGRATION / "imapd.conf").read_text()
        assert f"notifysocket: {DOCUMENTED_SOCKET}\n" in documented
        own = documented.replace(DOCUMENTED_SOCKET, self.notify_socket)
        # imapd.conf(5): HMAC keys embedded in lines as of PEM.
        key = base64.b64encode(TOKEN_SECRET).decode()
        (self.home / "jwt" / "key.pem").write_text(f"-----BEGIN HMAC KEY-----\n{key}\n-----END HMAC KEY-----\n")
        (self.home / "imapd.conf").write_text(_IMAPD.format(home=self.home) + own)
        ports = {"imap": self.imap_port, "http": self.http_port, "lmtp": self.lmtp_port}
        (self.home / "cyrus.conf").write_text(_MASTER.format(home=self.home, **ports))
        place = root(RELEASES[self.version], *PACKAGES)
        made = " && ".join(
            [
                *(f"echo {PASSWORD} | saslpasswd2 -p -c -f {self.home}/sasldb2 {user}" for user in (*USERS, "cyrus")),
                f"chown -R cyrus:mail {self.home}",
            ]
        )
        place.run("sh", "-c", made, shown=self.home)
        files = ("-C", f"{self.home}/imapd.conf", "-M", f"{self.home}/cyrus.conf", "-p", f"{self.home}/master.pid")
        self._program = place.start("/usr/lib/cyrus/bin/master", *files, "-D", shown=self.home)
        self._program.start()
        self._wait()

    def close(self) -> None:
        """End all of it."""
        if self._program is not None:
            self._program.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _wait(self) -> None:
        assert self._program is not None
        deadline = time.monotonic() + patient(READY_SECONDS)
        while True:
            try:
                # The first login makes a user's mailboxes.
                for user in USERS:
                    self.imap(user).logout()
                    self.states(user)
                self.lmtp().quit()
            except (OSError, httpx2.HTTPError, imaplib.IMAP4.error, smtplib.SMTPException):
                time.sleep(0.1)
            else:
                return
            if self._program.code is not None or time.monotonic() > deadline:
                raise RootError(f"Cyrus {self.version} does not serve:\n{self.said()}")

    def said(self) -> str:
        """What it has written to its standard output."""
        return "" if self._program is None else self._program.said()

    def lmtp(self) -> smtplib.LMTP:
        """A connection to deliver over."""
        return smtplib.LMTP("127.0.0.1", self.lmtp_port, timeout=patient(READY_SECONDS))

    def message(self) -> bytes:
        """One that there is not yet: duplicates are suppressed."""
        return f"Message-ID: <{time.monotonic_ns()}@mail.example>\r\n".encode() + MESSAGE

    def deliver(self, *users: str) -> None:
        """Deliver a message to each, in one transaction."""
        with self.lmtp() as lmtp:
            assert lmtp.sendmail("zoe@mail.example", users, self.message()) == {}
            # An answer for each (RFC 2033 section 4.2), of which smtplib reads one.
            for _ in users[1:]:
                assert lmtp.getreply()[0] == 250

    def imap(self, user: str) -> imaplib.IMAP4:
        """A connection of a user's, logged in."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=patient(READY_SECONDS))
        client.login(user, PASSWORD)
        return client

    def states(self, user: str) -> dict[str, str]:
        """The states of a user's data types, as the server's own JMAP has them (RFC 8620 section 5.1)."""
        calls = [[f"{name}/get", {"accountId": user, "ids": []}, name] for name in ("Email", "Mailbox", "Thread")]
        found = self.jmap(user, calls)
        assert [name for name, _, _ in found] == [call[0] for call in calls], found
        return {str(call): str(result["state"]) for _, result, call in found}

    def token(self, user: str) -> str:
        """A bearer token of a user's, for its JMAP."""
        return jwt.encode({"sub": user}, TOKEN_SECRET, "HS256")

    def jmap(self, user: str, calls: list[Any]) -> list[list[Any]]:
        """What the server answers to method calls (RFC 8620 section 3.3)."""
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        answer = httpx2.post(
            f"http://127.0.0.1:{self.http_port}/jmap/",
            auth=(user, PASSWORD),
            json={"using": using, "methodCalls": calls},
            timeout=patient(READY_SECONDS),
        )
        assert answer.status_code == 200, answer.text
        found: list[list[Any]] = answer.json()["methodResponses"]
        return found
