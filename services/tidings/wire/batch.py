"""The batch: the changes of one shard that travel in one log entry. An empty batch is a marker. Pure.

A batch of version 2 has no changes and says: anything may have changed in every account of the shard. To programs that
know only version 1 it is an entry that nobody can read, which they take for a gap: everybody connected for the shard
is told to resynchronise, and that is what it means.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.errors import BatchError
from tidings.wire.change import Change

VERSION: Final = 1
RESET_VERSION: Final = 2
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
        return not self.changes and not self.is_reset

    @property
    def is_reset(self) -> bool:
        """Whether anything may have changed in every account of the shard."""
        return self.version == RESET_VERSION


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


def encode_reset(batch_id: bytes, appended: float) -> bytes:
    """Encode a batch that says: anything may have changed in every account of the shard."""
    return _encoder.encode(Batch(RESET_VERSION, batch_id, appended, ()))


def restamped(batch: Batch, appended: float) -> bytes:
    """The same batch, encoded as one that is handed to the log at another time."""
    return _encoder.encode(msgspec.structs.replace(batch, appended=appended))


def decode(payload: bytes) -> Batch:
    """Decode a log entry.

    Raises BatchError when the payload is not a batch of either version.
    """
    try:
        batch = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchError(f"not a batch: {error}") from error
    if batch.version not in (VERSION, RESET_VERSION) or len(batch.id) != ID_BYTES:
        raise BatchError(f"batch version {batch.version} with an id of {len(batch.id)} bytes")
    return batch
