"""Roundcube of Debian in a root of its release, with the plugin as its package installs it, on SQLite."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.support.apache import Apache
from tests.support.nginx import Nginx, block
from tests.support.ports import free_ports, serves
from tests.support.roots import REPOSITORY, Program, RootError, root
from tests.support.started import Started
from tests.support.waiting import comes_true

PAGE: Final = REPOSITORY / "docs" / "integrate" / "roundcube.md"
# With php-cgi there is no Apache, which php would bring along.
PACKAGES: Final = ("roundcube-core", "roundcube-sqlite3", "roundcube-plugins", "php-cgi")
INTEGRATION: Final = REPOSITORY / "integrations" / "roundcube"
READY_SECONDS: Final = 20.0
WORKERS: Final = 4
POLL_SECONDS: Final = 10
_SETTINGS: Final = """<?php
$config = [
    'db_dsnw' => 'sqlite:///{home}/roundcube.sqlite?mode=0600',
    'imap_host' => '127.0.0.1:{imap}',
    'des_key' => '24-characters-of-a-test-',
    'plugins' => [{plugins}],
    'skin' => 'elastic',
    'use_https' => {https},
    'log_dir' => '{home}/logs/',
    'temp_dir' => '{home}/temp/',
    'enable_spellcheck' => false,
    'refresh_interval' => {poll},
    'min_refresh_interval' => 1,
    'newmail_notifier_desktop' => true,
];
"""
_SERVER: Final = """
    listen 443 ssl;
    server_name mail.example;
    ssl_certificate /etc/ssl/mail.example.pem;
    ssl_certificate_key /etc/ssl/mail.example.key;
    location / {
        proxy_pass http://127.0.0.1:8008;
        proxy_set_header Host $http_host;
    }
"""


def make_packages() -> tuple[Path, Path]:
    """The Debian package and the one for composer, made as `make` does."""
    script = [REPOSITORY / "scripts" / "roundcube-package"]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    deb, archive = said.removeprefix("Written: ").split()
    return REPOSITORY / deb, REPOSITORY / archive


class Roundcube(Started):
    """Serves users of the IMAP server at `imap_port`, at a free port, and polls every `poll` seconds."""

    def __init__(
        self,
        release: str,
        directory: Path,
        imap_port: int,
        *,
        plugins: tuple[str, ...] = ("tidings", "newmail_notifier"),
        poll: int = POLL_SECONDS,
        https: bool = False,
    ) -> None:
        (self.port,) = free_ports(1)
        self._home = directory / "home"
        self._copy = directory / "root"
        self._release = release
        self._settings = _SETTINGS.format(
            home=self._home,
            imap=imap_port,
            plugins=", ".join(f"'{name}'" for name in plugins),
            poll=poll,
            https=str(https).lower(),
        )
        self._stack = ExitStack()
        self._program: Program | None = None

    def start(self) -> None:
        """Install it and return once it serves."""
        for name in ("logs", "temp"):
            (self._home / name).mkdir(parents=True)
        place = self._stack.enter_context(root(self._release, *PACKAGES).copied(self._copy))
        shutil.copy(make_packages()[0], self._copy / "plugin.deb")
        place.run("dpkg", "--install", "/plugin.deb")
        (self._copy / "etc/roundcube/config.inc.php").write_text(self._settings)
        self._program = place.start(
            *("env", f"PHP_CLI_SERVER_WORKERS={WORKERS}"),
            # Settings that a test changes count at once.
            *("php", "-d", "opcache.revalidate_freq=0"),
            *("-S", f"127.0.0.1:{self.port}", "-t", "/var/lib/roundcube/public_html"),
            shown=self._home,
        )
        self._program.start()
        if not comes_true(lambda: serves(self.port), READY_SECONDS):
            raise RootError(f"Roundcube does not serve:\n{self._program.said()}")

    @property
    def secret(self) -> str:
        """What the package has made for it and the gateway."""
        return (self._copy / "etc/roundcube/tidings.key").read_text()

    def configure(self, **given: str) -> None:
        """Give settings of the plugin their values, in PHP; the others are as they are installed."""
        installed = (INTEGRATION / "config.inc.php.dist").read_text()
        own = "".join(f"$config['tidings_{name}'] = {value};\n" for name, value in given.items())
        (self._copy / "etc/roundcube/plugins/tidings/config.inc.php").write_text(installed + own)

    def keep(self, name: str, content: str) -> Path:
        """A file that it can read; its path."""
        path = self._home / name
        path.write_text(content)
        return path

    def php(self, code: str) -> str:
        """Run PHP in the plugin's folder; what it wrote."""
        assert self._program is not None
        return self._program.run("php", "-r", f"chdir('/usr/share/roundcube/plugins/tidings'); {code}")

    def errors(self) -> str:
        """What it has logged as errors."""
        log = self._home / "logs" / "errors.log"
        return log.read_text() if log.exists() else ""

    def close(self) -> None:
        """End it and remove it."""
        if self._program is not None:
            self._program.close()
        self._stack.close()


def one_origin(port: int, roundcube: int, gateway: int) -> Nginx:
    """nginx in front of both, over TLS at `port`, with what the documentation page has for it."""
    server = f"server {{\n{_SERVER}{block(PAGE, 'nginx')}}}\n"
    return Nginx(port, server, {"127.0.0.1:8080": f"127.0.0.1:{gateway}", "127.0.0.1:8008": f"127.0.0.1:{roundcube}"})


def one_origin_by_apache(port: int, roundcube: int, gateway: int, home: Path) -> Apache:
    """Apache in front of both, without TLS at `port`, with what the documentation page has for it."""
    proxied = block(PAGE, "apache").replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
    return Apache(port, f"{proxied}ProxyPass / http://127.0.0.1:{roundcube}/\n", home)
