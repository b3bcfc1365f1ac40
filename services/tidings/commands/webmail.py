"""`tidings webmail`: a small mail web client."""

from __future__ import annotations

import tidings.webmail.service
from tidings.ops.process.lifecycle import run as serve
from tidings.webmail.settings import WebmailSettings


def run(settings: WebmailSettings) -> int:
    """Run a webmail."""
    return serve(settings, "webmail", lambda runtime: tidings.webmail.service.compose(settings, runtime))
