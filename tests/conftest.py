from __future__ import annotations

from hypothesis import settings

# How long an example takes says nothing on a machine that is shared; hangs are ended by the tests' own timeout.
settings.register_profile("tidings", deadline=None)
settings.load_profile("tidings")
