"""What the dashboard shows of a gateway beside metrics; asked for in the admin listener's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidings.gateway.subscriptions import Subscriptions
from tidings.gateway.watching.talkers import Talkers

MOST_TALKERS: Final = 10
"""Accounts that are shown."""


def published(subscriptions: Subscriptions, talkers: Talkers) -> dict[str, Callable[[], object]]:
    """What is shown, by name: the shards that are read, and the accounts that are pushed to most."""
    return {
        "shards": lambda: _shards(subscriptions),
        "talkers": lambda: [
            {"account": account, "share": round(share, 4)} for account, share in talkers.shares(MOST_TALKERS)
        ],
    }


def _shards(subscriptions: Subscriptions) -> dict[str, dict[str, object]]:
    """By shard that is read: whether its feed is live, how late its newest batch was, how long ago anything came."""
    return {
        str(shard): {"live": feed.live, "lag_seconds": feed.lag, "silent_seconds": feed.silence}
        for shard, feed in sorted(dict(subscriptions.feeds).items())
    }
