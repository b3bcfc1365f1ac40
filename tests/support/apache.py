"""Apache of Debian, in a root of its own, with the configuration of a documentation page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.ports import serves
from tests.support.roots import Program, RootError, root
from tests.support.started import Started
from tests.support.waiting import comes_true

READY_SECONDS: Final = 20.0
_AROUND: Final = """
ServerRoot {home}
ServerName 127.0.0.1
PidFile {home}/apache.pid
ErrorLog /dev/stderr
CustomLog {home}/requests "%r %s \\"%{{User-Agent}}i\\""
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
{own}
"""


class Apache(Started):
    """Does what a page says at `port`, with the modules that are asked for there."""

    def __init__(self, port: int, own: str, home: Path) -> None:
        self.port = port
        self._home = home
        self._own = own
        self._program: Program | None = None

    def start(self) -> None:
        """Start it and return once it serves."""
        self._home.mkdir()
        (self._home / "apache.conf").write_text(_AROUND.format(home=self._home, port=self.port, own=self._own))
        command = ("/usr/sbin/apache2", "-f", f"{self._home}/apache.conf", "-DFOREGROUND")
        program = self._program = root("trixie", "apache2").start(*command, shown=self._home)
        program.start()
        comes_true(lambda: program.code is not None or serves(self.port), READY_SECONDS)
        if not serves(self.port):
            raise RootError(f"Apache does not serve:\n{program.said()}")

    def requests(self) -> list[str]:
        """The lines of its access log."""
        path = self._home / "requests"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.close()
