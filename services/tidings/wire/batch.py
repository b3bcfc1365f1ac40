"""The batch: the changes of one shard that travel in one log entry. An empty batch is a marker. Pure.

A batch of version 2 has no changes and says: anything may have changed in every account of the shard. To programs that
know only version 1 it is an entry that nobody can read, which they take for a gap: everybody connected for the shard
is told to resynchronise, and that is what it means.

Behind its changes a batch may say which of them are part of a sampled trace. Most batches do not, and end before that.
Programs that do not know of it do not look there.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.errors import BatchError
from tidings.wire.change import Change
from tidings.wire.tracecontext import CONTEXT_BYTES

VERSION: Final = 1
RESET_VERSION: Final = 2
ID_BYTES: Final = 16
MAX_TRACED: Final = 8
"""Changes of one batch that may be part of a sampled trace. More of them go on untraced."""


class Traced(msgspec.Struct, frozen=True, array_like=True):
    """A change of a batch, by its place, and the context of its trace (see tracecontext): the parent is its append."""

    index: Annotated[int, Meta(ge=0)]
    context: Annotated[bytes, Meta(min_length=CONTEXT_BYTES, max_length=CONTEXT_BYTES)]


class _Untraced(msgspec.Struct, frozen=True, array_like=True):
    """A batch as every version writes and reads it."""

    version: int
    id: bytes
    appended: float
    changes: tuple[Change, ...]


class Batch(_Untraced, frozen=True, array_like=True):
    """Changes in log order. `id` is random, so that two entries are never mistaken for one another.

    `appended` is when the writer first handed the batch to the log, in Unix seconds. Of `traced` there are only some of
    batches that are marked (see `is_traced`).
    """

    traced: Annotated[tuple[Traced, ...], Meta(max_length=MAX_TRACED)] = ()

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


def encode(batch_id: bytes, appended: float, changes: tuple[Change, ...], traced: tuple[Traced, ...] = ()) -> bytes:
    """Encode a batch; with no changes, a marker. Where any are `traced`, its id has to be marked so."""
    if traced:
        return _encoder.encode(Batch(VERSION, batch_id, appended, changes, traced))
    return _encoder.encode(_Untraced(VERSION, batch_id, appended, changes))


def encode_reset(batch_id: bytes, appended: float) -> bytes:
    """Encode a batch that says: anything may have changed in every account of the shard."""
    return _encoder.encode(_Untraced(RESET_VERSION, batch_id, appended, ()))


def restamped(batch: Batch, appended: float) -> bytes:
    """The same batch, encoded as one that is handed to the log at another time."""
    if batch.traced:
        return _encoder.encode(msgspec.structs.replace(batch, appended=appended))
    return _encoder.encode(_Untraced(batch.version, batch.id, appended, batch.changes))


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
