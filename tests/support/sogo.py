"""SOGo of Debian with its web server and PHP, in a copy of a root, set up as docs/integrate/sogo.md says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx2

from tests.support.nginx import Nginx, block
from tests.support.ports import free_ports
from tests.support.postgres import Postgres
from tests.support.roots import REPOSITORY, Program, Root, root
from tests.support.waiting import comes_true

PAGE: Final = REPOSITORY / "docs" / "integrate" / "sogo.md"
PACKAGES: Final = ("sogo", "nginx-light", "php-fpm")
READY_SECONDS: Final = 30.0
USERS: Final = """
CREATE TABLE users (c_uid text PRIMARY KEY, c_name text, c_password text, c_cn text, mail text);
INSERT INTO users VALUES ('alice', 'alice', 'secret', 'Alice', 'alice@mail.example');
"""
"""Passwords are those of the tests' Dovecot: SOGo logs in there with them."""
_SETTINGS: Final = """{{
  SOGoProfileURL = "{database}/sogo_user_profile";
  OCSFolderInfoURL = "{database}/sogo_folder_info";
  OCSSessionsFolderURL = "{database}/sogo_sessions_folder";
  OCSEMailAlarmsFolderURL = "{database}/sogo_alarms_folder";
  SOGoUserSources = ({{
    type = sql; id = users; viewURL = "{database}/users"; canAuthenticate = YES; userPasswordAlgorithm = plain;
  }});
  SOGoIMAPServer = "imap://127.0.0.1:{imap}";
  SOGoMemcachedHost = "/run/memcached/socket";
  SOGoMailDomain = mail.example;
  SOGoLanguage = English;
  SOGoTimeZone = UTC;
{documented}
}}
"""
_SOCKET: Final = "run/php/php8.2-fpm.sock"
_PROGRAMS: Final = {
    "memcached": "memcached -u sogo -s /run/memcached/socket",
    "php": "php-fpm8.2 --nodaemonize",
    "sogo": "env HOME=/run/sogo setpriv --reuid sogo --regid sogo --init-groups"
    " sogod -WONoDetach YES -WOWorkersCount 3 -WOLogFile - -WOPort {address}",
}


@contextmanager
def sogo(directory: Path, imap: int, gateway: int, secret: str) -> Iterator[Nginx]:
    """What a browser finds, for users of the IMAP server and the gateway at these ports."""
    port, own = free_ports(2)
    address = f"127.0.0.1:{own}"
    with ExitStack() as stack:
        place = stack.enter_context(root("bookworm", *PACKAGES).copied(directory / "root"))
        database = stack.enter_context(Postgres()).fresh_url(USERS)
        _install(place, secret, address)
        _set_up(place, database, imap)
        for name, command in _PROGRAMS.items():
            shown = directory / f"{name}-shown"
            shown.mkdir()
            program = stack.enter_context(place.start(*command.format(address=address).split(), shown=shown))
            stack.callback(_show, program)
        assert comes_true(lambda: _serves(place, address), READY_SECONDS)
        addresses = {"127.0.0.1:8080": f"127.0.0.1:{gateway}", "127.0.0.1:20000": address}
        yield stack.enter_context(Nginx(port, block(PAGE, "nginx"), addresses, place))


def _show(program: Program) -> None:
    """Where a test fails, pytest shows it."""
    sys.stderr.write(program.said())


def _serves(place: Root, address: str) -> bool:
    try:
        return (place.path / _SOCKET).exists() and httpx2.get(f"http://{address}/SOGo/").is_success
    except httpx2.TransportError:
        return False


def _install(place: Root, secret: str, address: str) -> None:
    """What the page has one do on the host of SOGo."""
    subprocess.run([REPOSITORY / "scripts" / "webmails", place.path / "build"], check=True, capture_output=True)
    (install,) = [text for text in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL) if "resources" in text]
    place.run("env", f"TIDINGS_JWT_SECRET={secret}", "sh", "-euc", f"cd /build/sogo\n{install}")
    settings = block(PAGE, "ini").replace("127.0.0.1:20000", address)
    (place.path / "etc/tidings/webmail.ini").write_text(settings)


def _set_up(place: Root, database: str, imap: int) -> None:
    """What there is without Tidings, but for the setting that the page has."""
    (documented,) = re.findall(r"^  SOGoUI.*$", PAGE.read_text(), re.MULTILINE)
    settings = _SETTINGS.format(database=database, imap=imap, documented=documented)
    (place.path / "etc/sogo/sogo.conf").write_text(settings)
    for directory, user in (("sogo", "sogo"), ("memcached", "sogo"), ("php", "www-data")):
        place.run("install", "-d", "-o", user, f"/run/{directory}")
