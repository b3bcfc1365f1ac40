"""Groups of gateways: which one an account's clients are led to, and the paths that say so. Pure.

A gateway reads the shards of its clients' accounts. Where the clients of a shard are all led to one group, the gateways
of the other groups do not read that shard. A gateway does not know its own group, and serves whoever comes: a client in
another group costs one more shard to read there, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tidings.ops.settings.urls import NUMBER
from tidings.wire.shard import MAX_SHARDS, shard_of

PREFIX: Final = "/g/"
_DIGITS: Final = len(str(MAX_SHARDS))


def ungrouped(path: str) -> str:
    """The path of a request without the slash behind it, which some clients put there, and without its group."""
    plain = path.removesuffix("/")
    if not plain.startswith(PREFIX):
        return plain
    group, slash, rest = plain[len(PREFIX) :].partition("/")
    return f"/{rest}" if slash and _is_number(group) else plain


def _is_number(group: str) -> bool:
    """Whether it is one as paths have it: there are never more groups than shards, whatever an older gateway had."""
    if len(group) > _DIGITS or not (group.isascii() and group.isdecimal()):
        return False
    return int(group) < MAX_SHARDS and str(int(group)) == group


@dataclass(frozen=True, slots=True)
class Groups:
    """How many there are, of a log with so many shards; `template` is their URL, empty for paths below a base."""

    count: int
    shards: int
    template: str = ""

    def of(self, account: str) -> int:
        """The group that reads the shard of an account."""
        return shard_of(account, self.shards) % self.count

    def base(self, base: str, account: str) -> str:
        """The URL that push URLs begin with, for a client with this primary account who has asked at `base`."""
        if self.count == 1:
            return base
        group = str(self.of(account))
        return self.template.replace(NUMBER, group) if self.template else f"{base}{PREFIX}{group}"
