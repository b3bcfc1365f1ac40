"""The reverse proxies of docs/operate/proxies.md, in a root of Debian, as deploy/proxies has them."""

from __future__ import annotations

import os
import shutil
import ssl
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.ports import free_ports
from tests.support.roots import REPOSITORY, Program, Root, RootError, root
from tests.support.started import Started
from tests.support.tls import CERTIFICATE, make_certificate
from tests.support.waiting import comes_true

READY_SECONDS: Final = 20.0
PACKAGES: Final = ("nginx-light", "haproxy", "apache2", "caddy")
CONFIGURATIONS: Final = REPOSITORY / "deploy" / "proxies"

_NGINX: Final = """
daemon off;
user www-data;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
{own}
}}
"""
_APACHE: Final = """
ServerRoot /etc/apache2
ServerName 127.0.0.1
PidFile {home}/apache.pid
DefaultRuntimeDir {home}
ErrorLog /dev/stderr
User www-data
Group www-data
Listen 127.0.0.1:{port}
Include mods-available/mpm_event.load
Include mods-available/authz_core.load
Include mods-available/ssl.load
Include mods-available/proxy.load
Include mods-available/proxy_http.load
Include mods-available/setenvif.load
Include mods-available/filter.load
Include mods-available/deflate.load
{own}
"""
_CADDY: Final = """
{{
	admin off
	auto_https off
}}
{own}
"""
_HAPROXY: Final = "{own}"


class Kind(NamedTuple):
    """A proxy: its configuration, what is around that, how it starts, what takes the place of what, who it runs as.

    `built`: makes the program where it is not in the root. Such a proxy connects to no Unix socket.
    """

    name: str
    file: str
    around: str
    command: tuple[str, ...]
    address: str
    here: str
    user: str = "www-data"
    built: Callable[[], Path] | None = None


NGINX: Final = Kind(
    "nginx",
    "nginx.conf",
    _NGINX,
    ("/usr/sbin/nginx", "-c", "{configuration}"),
    "listen 443 ssl",
    "listen 127.0.0.1:{port} ssl",
)
APACHE: Final = Kind(
    "apache",
    "apache.conf",
    _APACHE,
    ("/usr/sbin/apache2", "-D", "FOREGROUND", "-f", "{configuration}"),
    "*:443",
    "127.0.0.1:{port}",
)
CADDY: Final = Kind(
    "caddy",
    "Caddyfile",
    _CADDY,
    ("/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", "{configuration}"),
    "mail.example {",
    "https://127.0.0.1:{port} {{\n\ttls {certificate} {certificate}",
)
HAPROXY: Final = Kind(
    "haproxy",
    "haproxy.cfg",
    _HAPROXY,
    ("/usr/sbin/haproxy", "-db", "-f", "{configuration}"),
    "bind :443",
    "bind 127.0.0.1:{port}",
    user="haproxy",
)
DEBIAN: Final = {kind.name: kind for kind in (NGINX, APACHE, CADDY, HAPROXY)}
"""Those that are packages."""


class ReverseProxy(Started):
    """Serves a configuration at `url`, over TLS, in front of a gateway with the settings `gateway`.

    `replaced`: what is to be broken, by what stands in the configuration.
    """

    def __init__(self, kind: Kind, replaced: Mapping[str, str] = {}) -> None:
        self._kind = kind
        self.port, behind = free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}"
        # In the root of the file system, since the address of a Unix socket is short.
        self.home = Path(tempfile.mkdtemp(prefix="tidings-proxy-", dir="/tmp"))
        self.certificate = make_certificate(self.home)
        self._root = root("bookworm", *PACKAGES)
        # Whose directory it is, theirs is the socket.
        os.chown(self.home, *_ids(self._root, self._kind.user))
        sock = self.home / "gateway.sock"
        self._given = {
            "port": self.port,
            "home": self.home,
            "certificate": self.home / CERTIFICATE,
            "configuration": self.home / self._kind.file,
        }
        self.gateway: Mapping[str, Any] = {"host": f"unix:{sock}"}
        if self._kind.built:
            self.gateway = {"port": behind, "trusted_proxy": ("127.0.0.1/32",)}
            shutil.copy(self._kind.built(), self.home)
        places = {"/run/tidings/gateway.sock": str(sock), "127.0.0.1:8080": f"127.0.0.1:{behind}"}
        (self.home / self._kind.file).write_text(self._configured(replaced, places))
        self._program: Program | None = None

    def _configured(self, replaced: Mapping[str, str], places: dict[str, str]) -> str:
        own = (CONFIGURATIONS / self._kind.file).read_text()
        for wanted, instead in replaced.items():
            assert wanted in own, wanted
            own = own.replace(wanted, instead)
        own = own.replace(self._kind.address, self._kind.here.format(**self._given))
        certificates = ("/etc/ssl/mail.example.pem", "/etc/ssl/mail.example.key")
        for place, here in (places | dict.fromkeys(certificates, str(self.home / CERTIFICATE))).items():
            own = own.replace(place, here)
        return self._kind.around.format(own=own, **self._given)

    def start(self) -> None:
        """Start it and return once it serves."""
        command = [part.format(**self._given) for part in self._kind.command]
        self._program = self._root.start(*command, shown=self.home)
        self._program.start()
        if not comes_true(self._serves, READY_SECONDS):
            raise RootError(f"{self._kind.command[0]} does not serve:\n{self._program.said()}")

    def _serves(self) -> bool:
        assert self._program is not None
        if self._program.code is not None:
            raise RootError(f"{self._kind.command[0]} has ended:\n{self._program.said()}")
        trusting = ssl.create_default_context(cafile=str(self.certificate))
        try:
            urllib.request.urlopen(f"{self.url}/.well-known/jmap", timeout=READY_SECONDS, context=trusting).close()
        except urllib.error.HTTPError as answer:
            # It may listen before it has read where to pass things on to. Where that is, nothing is yet.
            return answer.code != 404
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.close()
            # Shown where a test failed.
            sys.stderr.write(self._program.said())
        shutil.rmtree(self.home, ignore_errors=True)


def _ids(base: Root, user: str) -> tuple[int, int]:
    """The numbers of a user, and of its group, as a root has them."""
    lines = (base.path / "etc/passwd").read_text().splitlines()
    found = next(line.split(":") for line in lines if line.startswith(f"{user}:"))
    return int(found[2]), int(found[3])
