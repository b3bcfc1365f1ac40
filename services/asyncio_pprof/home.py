"""What the pages lead back to. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class Home(NamedTuple):
    """A page of the program that leads to these. `href` is seen from where they are, as from `/debug/`."""

    title: str
    href: str


PROFILES: Final = Home("Profiles", "pprof/")
"""The index of profiles, where the program has no page of its own."""
