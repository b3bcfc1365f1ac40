"""`tidings cyrus-notify`: take in what Cyrus IMAP tells, and keep it for a publisher."""

from __future__ import annotations

import tidings.publisher.sources.cyrus.service
from tidings.ops import logs
from tidings.publisher.sources.cyrus.settings import CyrusNotifySettings


def run(settings: CyrusNotifySettings) -> int:
    """Own the notify socket of Cyrus."""
    logs.configure(settings.log_format, settings.log_level)
    tidings.publisher.sources.cyrus.service.run(settings)
    return 0
