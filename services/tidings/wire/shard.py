"""The shard function. Fixed per installation: publisher and gateway must agree. Pure."""

from __future__ import annotations

from zlib import crc32

DEFAULT_SHARDS = 16
MAX_SHARDS = 1024


def shard_of(account: str, shards: int) -> int:
    """The shard, 0..shards-1, whose log orders the changes of `account`."""
    return crc32(account.encode()) % shards
