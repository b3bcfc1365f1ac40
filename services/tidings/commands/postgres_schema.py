"""`tidings postgres-schema`: print the SQL of the outbox."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import Final

from tidings.ops.settings.fields import Settings
from tidings.publisher.sources import postgres

SCHEMA: Final = "schema.sql"


class SchemaSettings(Settings):
    """Print the SQL that makes the outbox of --postgres-url: tidings postgres-schema | psql mail."""


def run(settings: SchemaSettings) -> int:
    """Print it."""
    sys.stdout.write(files(postgres).joinpath(SCHEMA).read_text())
    return 0
