"""`tidings`, broken on purpose: its gateway takes everybody who comes back for somebody who has missed nothing."""

from __future__ import annotations

import sys

from tidings.cli import main
from tidings.gateway.model.connection import Connection
from tidings.gateway.model.form import Form
from tidings.gateway.subscriptions import Subscriptions

_subscribe = Subscriptions.subscribe


def _forget(self: Subscriptions, connection: Connection, form: Form, since: str | None) -> None:
    del since
    _subscribe(self, connection, form, None)


Subscriptions.subscribe = _forget  # type: ignore[method-assign]
sys.exit(main())
