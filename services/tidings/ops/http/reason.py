"""Why somebody could not be reached, or refuses, in words of a person who sees it for the first time.

What others say of it can be shown on a terminal.
"""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from tidings.ops.printable import plain

_AWAY: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, socket.EAI_AGAIN})
SAID_CHARS: Final = 200
"""Of what somebody says who refuses."""


def reason(error: BaseException) -> str:
    """The reason at the bottom of an error of a library, or what the library says."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"the certificate is not trusted: {cause.verify_message} (SSL_CERT_FILE names other authorities)"
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE" | "HTTP_REQUEST"):
                return "the server does not use TLS: try http://"
            case socket.gaierror():
                return "the host name does not exist"
            case ConnectionRefusedError():
                return "nothing listens there"
            case TimeoutError():
                return "no answer in time"
    return plain(str(error)) or type(error).__name__


def is_nobody_there(error: BaseException) -> bool:
    """Whether nothing answers at an address, or asked for a name, as where something has yet to start."""
    return any(
        isinstance(cause, TimeoutError) or (isinstance(cause, OSError) and cause.errno in _AWAY)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what led to it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def detail(body: bytes | bytearray) -> str:
    """What problem details (RFC 9457) say, or the beginning of a body that has none."""
    try:
        said = str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError, RecursionError):
        said = body[:SAID_CHARS].decode(errors="replace").strip()
    return plain(said[:SAID_CHARS]) or "no reason given"


def hint(status: int, of: str) -> str:
    """What a status may mean of somebody who should be a publisher or a gateway."""
    return f" (is this the URL of a {of}?)" if status in (404, 405) else ""
