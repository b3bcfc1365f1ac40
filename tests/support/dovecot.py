"""Dovecot 2.3 and 2.4 of Debian, each in a root of its release, with the settings that `integrations/dovecot` has."""

from __future__ import annotations

import shutil
import smtplib
from pathlib import Path
from typing import Final, Literal

from tests.support.dovecot_server import READY_SECONDS, DovecotServer
from tests.support.roots import REPOSITORY
from tests.support.waiting import patient

INTEGRATION = REPOSITORY / "integrations" / "dovecot"
PACKAGES: Final = ("dovecot-imapd", "dovecot-lmtpd", "acl")
MAIL_UID: Final = 5_000
PASSWORD: Final = "secret"
INGEST: Final = "127.0.0.1:8081"
SCRIPT: Final = "/usr/share/tidings/dovecot/tidings.lua"
MESSAGE: Final = b"From: zoe@mail.example\r\nTo: alice@mail.example\r\nSubject: hello\r\n\r\nbody\r\n"

_BASE = {
    "2.3": """
protocols = imap lmtp
listen = 127.0.0.1
base_dir = /run/dovecot
state_dir = {home}/state
ssl = no
disable_plaintext_auth = no
log_path = {home}/dovecot.log
mail_location = maildir:{home}/mail/%u
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={home}/homes/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
!include {settings}
""",
    "2.4": """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
protocols = imap lmtp
listen = 127.0.0.1
base_dir = /run/dovecot
state_dir = {home}/state
ssl = no
auth_allow_cleartext = yes
log_path = {home}/dovecot.log
mail_driver = maildir
mail_path = {home}/mail/%{{user}}
mail_home = {home}/homes/%{{user}}
mail_uid = {uid}
mail_gid = {uid}
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb static {{
  password = {password}
}}
userdb static {{
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
!include {settings}
""",
}


class Dovecot(DovecotServer):
    """A server whose users have any name, and PASSWORD. `journal` is the directory of its journal.

    It tells whom listens on the port `ingest` of changes, with a token: `by` the "script", by Dovecot's driver "ox", or
    by "nothing". `settings` are further ones of the script; what is not given is as it is documented.
    """

    packages = PACKAGES
    password = PASSWORD

    def __init__(
        self,
        version: str,
        home: Path,
        ingest: int,
        token: str,
        by: Literal["script", "ox", "nothing"] = "script",
        **settings: str,
    ) -> None:
        super().__init__(version, home)
        self.journal = home / "journal"
        self._ingest = ingest
        self._token = token
        self._by = by
        self._settings = {"token": token, "journal": str(self.journal), **settings}

    def start(self) -> None:
        """Start it and return once it serves."""
        for directory in (self.home, self.journal, self.home / "mail", self.home / "homes", self.home / "state"):
            directory.mkdir(exist_ok=True)
            shutil.chown(directory, MAIL_UID, MAIL_UID)
        shutil.copy(INTEGRATION / "tidings.lua", self.home)
        (self.home / "tidings.conf").write_text(self._documented())
        (self.home / "dovecot.conf").write_text(self._base() + (self._own() if self._by == "script" else ""))
        self._serve()

    def _base(self) -> str:
        return _BASE[self.version].format(
            home=self.home,
            settings=self.home / "tidings.conf",
            uid=MAIL_UID,
            password=PASSWORD,
            imap=self.imap_port,
            lmtp=self.lmtp_port,
        )

    def _documented(self) -> str:
        """The settings as they are documented, but for addresses, paths and token."""
        if self._by == "nothing":
            return ""
        text = (INTEGRATION / f"dovecot-{self.version}{'-ox' if self._by == 'ox' else ''}.conf").read_text()
        for said, meant in (
            (INGEST, f"127.0.0.1:{self._ingest}"),
            ("TOKEN", self._token) if self._by == "ox" else (SCRIPT, f"{self.home}/tidings.lua"),
        ):
            assert said in text
            text = text.replace(said, meant)
        return text

    def _own(self) -> str:
        """What is not as it is documented."""
        opened, prefix, closed = {
            "2.3": ("plugin {", "tidings_", "}"),
            "2.4": ("push_notification tidings {\nlua_settings {", "", "}\n}"),
        }[self.version]
        return "\n".join([opened, *(f"{prefix}{name} = {value}" for name, value in self._settings.items()), closed, ""])

    def lmtp(self) -> smtplib.LMTP:
        """A connection to deliver over."""
        return smtplib.LMTP("127.0.0.1", self.lmtp_port, timeout=patient(READY_SECONDS))

    def doveadm(self, *arguments: str) -> str:
        """What `doveadm` says."""
        assert self._program is not None
        return self._program.run("doveadm", "-c", f"{self.home}/dovecot.conf", *arguments)

    def deliver(self, *users: str) -> None:
        """Deliver a message to each, in one transaction."""
        with self.lmtp() as lmtp:
            assert lmtp.sendmail("zoe@mail.example", users, MESSAGE) == {}
            # An answer for each (RFC 2033 section 4.2), of which smtplib reads one.
            for _ in users[1:]:
                assert lmtp.getreply()[0] == 250
