"""The URLs of settings. Pure.

An error says what is wrong so that a person can mend it, and proposes what was meant. It repeats the URL, unless that
may hold a password or a token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator

from tidings.ops.settings.values import SHOWN

NUMBER: Final = "{group}"
"""What stands for the number in the URL of a group."""
TRACES_PATH: Final = "/v1/traces"
"""Where a collector takes traces by OTLP over HTTP, below its own URL."""
BUS_SCHEMES: Final = ("memory", "amqp", "amqps")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@\"'<>\\^`{|}()$!,;=&*+%]+")
_ADDRESS: Final = re.compile(rf"(?:{_HOST.pattern})(?::\d{{1,5}})?/?")


def _parts(value: str, scheme: str) -> SplitResult:
    """The parts of a URL that names a host; `scheme` is proposed where it has none."""
    found, separator, _ = value.partition("://")
    if not separator or not _SCHEME.fullmatch(found):
        proposal = f"write {scheme}://{value}" if _ADDRESS.fullmatch(value) else f"the URL must begin with {scheme}://"
        raise ValueError(f"has no scheme: {proposal}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("must have a port from 1 to 65535 behind the colon after the host") from None
    if port == 0:
        raise ValueError("has port 0, which nothing can connect to")
    if not parts.hostname:
        raise ValueError("names no host")
    host = parts.netloc.rpartition("@")[2]
    if not _is_host(host if port is None else host.rpartition(":")[0]):
        raise ValueError("has a host name that is not valid")
    return parts


def _is_host(name: str) -> bool:
    if not _HOST.fullmatch(name):
        return False
    try:
        # What libraries do before they look it up; it refuses labels that are empty or too long.
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _base(value: str) -> str:
    parts = _parts(value, "http")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"begins with {parts.scheme}://, and must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password")
    if parts.path not in ("", "/") or parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError(f"must end after host and port: {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _numbered(value: str) -> str:
    if NUMBER not in value:
        raise ValueError(f"must contain {NUMBER}, as in https://push{NUMBER}.mail.example")
    _base(value.replace(NUMBER, "0"))
    return value.rstrip("/")


def _https(value: str) -> str:
    if _parts(value, "https").scheme != "https":
        raise ValueError("must be https://...: over http, an attacker could replace the keys")
    return value


def each_host(url: str) -> list[str]:
    """The URLs that one with several hosts stands for: amqp://user@one:5672,two/vhost is two. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    place = urlsplit(url).netloc
    user, at, hosts = place.rpartition("@")
    return [f"{scheme}://{user}{at}{host}{rest.removeprefix(place)}" for host in hosts.split(",")]


def _bus(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in BUS_SCHEMES:
        raise ValueError("must be memory://, amqp://user:password@host:port/vhost or amqps://...")
    if scheme.lower() == "memory" and separator:
        return value
    try:
        for each in each_host(value) if separator else [value]:
            _parts(each, "amqp")
    except ValueError as error:
        hint = "; in user and password, percent-encode : / ? # [ ] @" if "@" in value else ""
        raise ValueError(f"{error}{hint}") from None
    return value


def _postgres(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    if separator and scheme.lower() not in ("postgresql", "postgres"):
        raise ValueError("must be postgresql://user@host:port/database")
    if not separator:
        raise ValueError("must begin with postgresql://")
    return value


def _imap(value: str) -> str:
    parts = _parts(value, "imaps")
    if parts.scheme not in ("imap", "imaps"):
        raise ValueError(f"begins with {parts.scheme}://, and must begin with imap:// or imaps://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password: put them into --imap-accounts")
    if parts.path not in ("", "/") or parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError(f"must end after host and port: {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def _collector(value: str) -> str:
    parts = _parts(value, "http")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"begins with {parts.scheme}://, and must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password: put them into OTEL_EXPORTER_OTLP_HEADERS")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError("must end after its path")
    path = parts.path.rstrip("/")
    if path.endswith(TRACES_PATH):
        raise ValueError(f"must end before {TRACES_PATH}, which is added to it")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _url(check: Callable[[str], str]) -> AfterValidator:
    def checked(value: str) -> str:
        try:
            return check(value)
        except ValueError as error:
            shown = "the URL" if "@" in value or "?" in value else repr(value[:SHOWN])
            raise ValueError(f"{shown} {error}") from None

    return AfterValidator(checked)


def origin(value: str) -> str:
    """An origin (RFC 6454). Applications have schemes of their own."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s\"'<>\\^`{|}]+/?", value):
        raise ValueError(f"{value!r} is not an origin, such as https://mail.example or http://127.0.0.1:8082")
    return value


BaseUrl = Annotated[str, _url(_base)]
"""The URL of another service, or of this one as others see it: scheme, host and perhaps port."""
BaseUrlOrNone = Annotated[str, _url(lambda value: _base(value) if value else value)]
"""The same, or empty."""
GroupUrlOrNone = Annotated[str, _url(lambda value: _numbered(value) if value else value)]
"""The URL of each of several services, which differ in a number, or empty."""
HttpsUrl = Annotated[str, _url(_https)]
"""An address whose answer has to be genuine."""
PostgresUrl = Annotated[str, _url(_postgres)]
"""A database, as libpq has it: hosts, ports and what else there is are PostgreSQL's to judge."""
BusUrl = Annotated[str, _url(_bus)]
"""Where the change log is."""
ImapUrl = Annotated[str, _url(_imap)]
"""A mail server: scheme, host and perhaps port."""
CollectorUrl = Annotated[str, _url(_collector)]
"""What takes traces by OTLP over HTTP: scheme, host, perhaps port and path."""
Origin = Annotated[str, AfterValidator(origin)]
