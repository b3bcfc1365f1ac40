"""The batch: the changes of one shard that travel in one log entry. An empty batch is a marker."""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.errors import BatchError
from tidings.wire.change import Change

VERSION: Final = 1
ID_BYTES: Final = 16


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Changes in log order. `id` is random, so that two entries are never mistaken for one another.

    `appended` is when the writer first handed the batch to the log, in Unix seconds.
    """

    version: int
    id: bytes
    appended: float
    changes: tuple[Change, ...]

    @property
    def is_marker(self) -> bool:
        """Whether this batch only proves that the log delivers."""
        return not self.changes


def marked(batch_id: bytes, *, traced: bool) -> bytes:
    """A random id, made to say whether the life of this batch is followed by every process that it passes."""
    last = 0 if traced else batch_id[-1] or 1
    return batch_id[:-1] + bytes((last,))


def is_traced(batch_id: bytes) -> bool:
    """Whether the life of the batch with this id is followed; so are some of others than our own publishers."""
    return not batch_id[-1]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode(batch_id: bytes, appended: float, changes: tuple[Change, ...]) -> bytes:
    """Encode a batch; with no changes, a marker."""
    return _encoder.encode(Batch(VERSION, batch_id, appended, changes))


def decode(payload: bytes) -> Batch:
    """Decode a log entry.

    Raises BatchError when the payload is not a batch of this version.
    """
    try:
        batch = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchError(f"not a batch: {error}") from error
    if batch.version != VERSION or len(batch.id) != ID_BYTES:
        raise BatchError(f"batch version {batch.version} with an id of {len(batch.id)} bytes")
    return batch
