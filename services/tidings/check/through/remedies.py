"""Which line of which proxy's configuration mends what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Fault(Enum):
    """What a proxy does wrong; the value says it."""

    UNREACHED = "the proxy does not reach the gateway"
    PATH = "the proxy changes paths"
    HOST = "the session has URLs of another host"
    UPGRADE = "the proxy removes Upgrade"
    BUFFERS = "the proxy holds events back"
    COMPRESSES = "the proxy compresses answers that wait for changes"
    CUTS = "the proxy closes silent connections"
    HIDES = "the gateway does not learn the client's address"
    BELIEVES = "clients can claim any address"
    VERSION = "the gateway has another version"
    OTHER = "the gateway refuses"


_FORWARDED: Final = {
    "nginx": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "Apache": "ProxyAddHeaders On",
    "HAProxy": "option forwardfor",
}
REMEDIES: Final[Mapping[Fault, Mapping[str, str]]] = {
    Fault.UNREACHED: {
        "nginx": "server unix:/run/tidings/gateway.sock;  (in `upstream`; www-data has to be in the socket's group)",
        "Apache": "ProxyPass /jmap/ unix:/run/tidings/gateway.sock|http://tidings/jmap/ ...",
        "HAProxy": "server gateway unix@/run/tidings/gateway.sock",
        "Traefik": 'url: "http://127.0.0.1:8080"  (Traefik connects to no Unix socket)',
    },
    Fault.PATH: {
        "nginx": "proxy_pass http://tidings;  (no path behind it, not even /)",
        "Apache": "ProxyPass /jmap/ unix:/run/tidings/gateway.sock|http://tidings/jmap/ ...  (the same path twice)",
        "HAProxy": "no `http-request set-path` or `replace-path` for /jmap/ and /.well-known/jmap",
        "Traefik": "no middleware `stripPrefix` or `replacePath` for this router",
    },
    Fault.HOST: {
        "nginx": "proxy_set_header Host $http_host;",
        "Apache": "ProxyPreserveHost On",
        "gateway": "--public-url (TIDINGS_PUBLIC_URL) with the URL that browsers use",
    },
    Fault.UPGRADE: {
        "nginx": "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        "proxy_set_header Connection $tidings_connection;",
        "Apache": "ProxyPass /jmap/ ... upgrade=websocket",
        "HAProxy": "mode http, and no `http-request del-header Upgrade`",
    },
    Fault.BUFFERS: {
        "nginx": "proxy_buffering off;",
        "Apache": "ProxyPass /jmap/ ... flushpackets=on",
        "Caddy": "flush_interval -1",
        "HAProxy": "no `filter compression` and no `option http-buffer-response` for /jmap/",
    },
    Fault.COMPRESSES: {
        "nginx": "gzip off;",
        "Apache": "SetEnvIf Request_URI ^/jmap/ no-gzip",
        "Caddy": "no `encode` for /jmap/*",
        "HAProxy": "no `compression algo` in this backend",
        "Traefik": "no middleware `compress` for this router",
    },
    Fault.CUTS: {
        "nginx": "proxy_read_timeout 1h;",
        "Apache": "ProxyPass /jmap/ ... timeout=3600",
        "HAProxy": "timeout client 1h, timeout server 1h, timeout tunnel 1h",
        "Traefik": "forwardingTimeouts: {responseHeaderTimeout: 0s}  (in `serversTransports`)",
    },
    Fault.HIDES: {
        **_FORWARDED,
        "gateway": "--trusted-proxy (TIDINGS_TRUSTED_PROXY) with the proxy's address; a Unix socket needs none",
    },
    Fault.BELIEVES: {**_FORWARDED, "Traefik": "no `forwardedHeaders.insecure` of the entry point"},
    Fault.VERSION: {},
    Fault.OTHER: {},
}
