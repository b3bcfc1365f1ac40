"""The TIDINGS_* variables of a process: which are settings of its command, and what the others are. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

ENV_PREFIX: Final = "TIDINGS_"
_LINK: Final = re.compile(
    rf"{ENV_PREFIX[:-1]}(?:_[A-Z0-9_]+)?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_LINK_VALUE: Final = re.compile(r"(?:tcp|udp|sctp)://\S+")


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of an environment that begin with TIDINGS_, in either case.

    `given` are settings of the command, `unused` those of other commands. `links` are what Kubernetes sets for Services
    whose names begin with "tidings"; they are another program's. `unknown` are the others, which nobody reads.
    """

    given: Mapping[str, str]
    unused: tuple[str, ...]
    links: tuple[str, ...]
    unknown: tuple[str, ...]


def sort(environ: Mapping[str, str], own: Collection[str], known: Callable[[], Collection[str]]) -> Variables:
    """Sort the variables, where `own` are the command's settings, and `known` gives those of all commands."""
    ours = {name: value for name, value in environ.items() if name.upper().startswith(ENV_PREFIX)}
    links = {name for name, value in ours.items() if _is_link(name, value)}
    given = {name: value for name, value in ours.items() if name in own and name not in links}
    others = sorted(ours.keys() - links - given.keys())
    everybodys = known() if others else ()
    unused = tuple(name for name in others if name in everybodys)
    unknown = tuple(name for name in others if name not in everybodys)
    return Variables(given, unused, tuple(sorted(links)), unknown)


def nearest(name: str, known: Collection[str]) -> str | None:
    """The setting that somebody may have meant."""
    bare = {each.removeprefix(ENV_PREFIX): each for each in known}
    found = get_close_matches(name.upper().removeprefix(ENV_PREFIX), bare, 1)
    return bare[found[0]] if found else None


def _is_link(name: str, value: str) -> bool:
    """Whether Kubernetes has set it (its documentation, "Accessing the Service"): a Service `tidings-gateway` gives
    TIDINGS_GATEWAY_SERVICE_HOST, and TIDINGS_GATEWAY_PORT of the form tcp://10.0.0.1:8080.
    """
    return bool(_LINK.fullmatch(name) or (name.endswith("_PORT") and _LINK_VALUE.fullmatch(value)))
