"""A stock Dovecot, 2.3 or 2.4 of Debian, to be listened to over IMAP: nothing in it knows of Tidings."""

from __future__ import annotations

import re
import shutil
import smtplib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.dovecot_server import READY_SECONDS, DovecotServer
from tests.support.ports import free_ports
from tests.support.roots import REPOSITORY
from tests.support.waiting import patient

INTEGRATION: Final = REPOSITORY / "integrations" / "imap"
PAGE: Final = REPOSITORY / "docs" / "integrate" / "imap.md"
MASTERS: Final = "/etc/dovecot/tidings-master"
PACKAGES: Final = ("dovecot-imapd", "dovecot-lmtpd")
PASSWORD: Final = "secret of a user"
MASTER: Final = "tidings"
MASTER_PASSWORD: Final = "secret of the master"
FIRST_UID: Final = 30_000
MESSAGE: Final = b"From: zoe@mail.example\r\nSubject: hello\r\n\r\nbody\r\n"

_COMMON = """
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
first_valid_uid = 100
auth_mechanisms = plain login {mechanisms}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
!include {home}/tidings.conf
"""
_VERSIONS = {
    "2.3": _COMMON
    + """
ssl = yes
ssl_cert = <{home}/127.0.0.1.pem
ssl_key = <{home}/127.0.0.1.pem
disable_plaintext_auth = no
mail_location = maildir:{home}/mail/%u
mail_max_userip_connections = {most}
passdb {{
  driver = passwd-file
  args = {home}/users
}}
{oauth}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
""",
    "2.4": "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    + _COMMON
    + """
ssl = yes
ssl_server_cert_file = {home}/127.0.0.1.pem
ssl_server_key_file = {home}/127.0.0.1.pem
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = {home}/mail/%{{user}}
mail_max_userip_connections = {most}
passdb users {{
  driver = passwd-file
  passwd_file_path = {home}/users
}}
{oauth}
userdb passwd-file {{
  passwd_file_path = {home}/users
}}
""",
}
_OAUTH = {
    "2.3": """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf
}}
""",
    "2.4": """
passdb oauth2 {{
  mechanisms_filter = xoauth2 oauthbearer
}}
oauth2 {{
  introspection_mode = local
  username_attribute = sub
  oauth2_local_validation {{
    dict fs {{
      fs posix {{
        prefix = {home}/keys/
      }}
    }}
  }}
}}
""",
}


class Dovecot(DovecotServer):
    """A server with these users, each of whom is a user of Unix, too.

    `certificate` is a file with a certificate for 127.0.0.1 and its key; `most` is how many connections a user may have
    from one address, `capabilities` all that the server says it can do, where that is less. `oauth_key` verifies OAuth
    tokens, JWTs signed with HS256. The server keeps its ports and its mail across `close` and `start`.
    """

    packages = PACKAGES
    password = PASSWORD

    def __init__(
        self,
        version: str,
        home: Path,
        users: Sequence[str],
        certificate: Path,
        *,
        most: int = 10,
        capabilities: str = "",
        oauth_key: bytes = b"",
    ) -> None:
        super().__init__(version, home)
        self.users = tuple(users)
        (self.imaps_port,) = free_ports(1)
        self._certificate = certificate
        self._settings = f"imap_capability = {capabilities}\n" if capabilities else ""
        self._most = most
        self._oauth_key = oauth_key

    def uid(self, user: str) -> int:
        """The Unix user whose processes read a user's mail."""
        return FIRST_UID + self.users.index(user)

    def start(self) -> None:
        """Start it and return once it serves."""
        for directory in ("", "mail", "homes", "run", "state"):
            (self.home / directory).mkdir(exist_ok=True)
        self.home.chmod(0o755)
        for directory in ("mail", "homes"):
            (self.home / directory).chmod(0o1777)
        shutil.copy(self._certificate, self.home / "127.0.0.1.pem")
        command = self._master_command().replace(MASTERS, f"{self.home}/tidings-master")
        self._root().run("sh", "-c", command, shown=self.home)
        documented = (INTEGRATION / f"dovecot-{self.version}.conf").read_text()
        assert MASTERS in documented
        (self.home / "tidings.conf").write_text(documented.replace(MASTERS, f"{self.home}/tidings-master"))
        lines = [
            f"{user}:{{PLAIN}}{PASSWORD}:{self.uid(user)}:{self.uid(user)}::{self.home}/homes/{user}"
            for user in self.users
        ]
        (self.home / "users").write_text("\n".join([*lines, ""]))
        (self.home / "dovecot.conf").write_text(self._configuration())
        self._serve()

    def stop(self) -> None:
        """End it as an operator would."""
        assert self._program is not None
        self._program.stop()

    def url(self, scheme: str = "imap") -> str:
        """Where it is."""
        return f"{scheme}://127.0.0.1:{self.imaps_port if scheme == 'imaps' else self.imap_port}"

    def _master_command(self) -> str:
        """What the documentation has an operator type."""
        (command,) = re.findall(r"^```sh\n(umask.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        assert MASTER_PASSWORD in command
        return str(command)

    def _configuration(self) -> str:
        values = {
            "home": self.home,
            "imap": self.imap_port,
            "imaps": self.imaps_port,
            "lmtp": self.lmtp_port,
            "most": self._most,
        }
        oauth = mechanisms = ""
        if self._oauth_key:
            (self.home / "keys" / "default" / "HS256").mkdir(parents=True, exist_ok=True)
            (self.home / "keys" / "default" / "HS256" / "default").write_bytes(self._oauth_key)
            mechanisms = "xoauth2 oauthbearer"
            oauth = _OAUTH[self.version].format(**values)
            (self.home / "oauth2.conf").write_text(
                f"introspection_mode = local\nusername_attribute = sub\n"
                f"local_validation_key_dict = fs:posix:prefix={self.home}/keys/\n"
            )
        return _VERSIONS[self.version].format(**values, oauth=oauth, mechanisms=mechanisms) + self._settings

    def deliver(self, *users: str) -> None:
        """Deliver a message to each."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, timeout=patient(READY_SECONDS)) as lmtp:
            for user in users:
                assert lmtp.sendmail("zoe@mail.example", [user], MESSAGE) == {}
