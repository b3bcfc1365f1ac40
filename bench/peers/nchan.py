"""Nchan: the nginx module that parks subscribers, from Debian."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import Server, post, state_change, upgrade
from bench.peers.process import serving
from bench.usage import children
from tests.support.ports import free_ports

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_CONFIGURATION = """
load_module {module};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  tcp_nodelay on;
  keepalive_requests 100000000;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/ws/(.+)$ {{
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
    location ~ ^/changes/(.+)$ {{
      nchan_publisher http;
      nchan_channel_id $1;
      nchan_message_buffer_length 1;
    }}
  }}
}}
"""


def _opening(account: str) -> tuple[bytes, bytes]:
    return upgrade(f"/ws/{account}"), b""


def _changes(accounts: Sequence[str], state: str) -> bytes:
    return b"".join(post(f"/changes/{account}", state_change(account, state)) for account in accounts)


class Nchan:
    """One nginx worker; a channel per account that keeps the newest message. It checks no token."""

    name = "Nchan"
    does = "no token; keeps the newest message; publishing is an HTTP request for each account"

    def missing(self) -> str | None:
        """The Debian package."""
        return None if MODULE.exists() and shutil.which("nginx") else "missing: apt-get install libnginx-mod-nchan"

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Start it with a configuration of its own."""
        (port,) = free_ports(1)
        with TemporaryDirectory() as home:
            configuration = Path(home) / "nginx.conf"
            configuration.write_text(_CONFIGURATION.format(module=MODULE, home=home, port=port))
            command = ("nginx", "-p", home, "-c", str(configuration), "-e", f"{home}/error.log")
            with serving(command, port, Path(home) / "output") as process:
                pids = (process.pid, *children(process.pid))
                yield Server(pids, port, _opening, b"\r\n\r\n", port, _changes)
