"""nginx of Debian, in a root of its own, with the configuration of a documentation page."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.ports import serves
from tests.support.roots import Program, Root, RootError, root
from tests.support.started import Started
from tests.support.tls import CERTIFICATE, make_certificate
from tests.support.waiting import comes_true

READY_SECONDS: Final = 20.0
_AROUND: Final = """
daemon off;
user root;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    access_log {home}/requests;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{server}
}}
"""


def block(page: Path, language: str) -> str:
    """The one block of code in this language that a page has."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    return str(found)


class Nginx(Started):
    """Serves what a page says at a free port, over TLS. `replaced` are addresses by those that the page has.

    It is in the root `place`, or in one of its own.
    """

    def __init__(self, port: int, server: str, replaced: Mapping[str, str], place: Root | None = None) -> None:
        self.port = port
        self._place = place
        self.home = Path(tempfile.mkdtemp(prefix="tidings-nginx-"))
        self.certificate = make_certificate(self.home)
        own = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/mail.example.pem": str(self.home / CERTIFICATE),
            "/etc/ssl/mail.example.key": str(self.home / CERTIFICATE),
        }
        for named, given in {**own, **replaced}.items():
            assert named in server, named
            server = server.replace(named, given)
        (self.home / "nginx.conf").write_text(_AROUND.format(home=self.home, server=server))
        self._program: Program | None = None

    def _root(self) -> Root:
        return self._place or root("bookworm", "nginx-light")

    def check(self) -> None:
        """Have nginx judge its configuration. Raises RootError with what nginx says."""
        self._root().run("/usr/sbin/nginx", "-t", "-c", f"{self.home}/nginx.conf", shown=self.home)

    def start(self) -> None:
        """Start it and return once it serves."""
        self._program = self._root().start("/usr/sbin/nginx", "-c", f"{self.home}/nginx.conf", shown=self.home)
        self._program.start()
        if not comes_true(lambda: serves(self.port), READY_SECONDS):
            raise RootError(f"nginx does not serve:\n{self._program.said()}")

    def close(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.close()
            # Shown where a test failed.
            sys.stderr.write(self._program.said())
        shutil.rmtree(self.home, ignore_errors=True)

    def requests(self) -> list[str]:
        """The lines of its access log."""
        path = self.home / "requests"
        return path.read_text().splitlines() if path.exists() else []
