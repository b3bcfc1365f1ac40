"""How far the log has confirmed each shard's entries, in a small file beside the spool's.

A removal from the spool takes room on the disk, and a disk that is full has none. What the log has confirmed is
therefore also noted here, by overwriting bytes that are on the disk already. Everything here blocks.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

FILE: Final = "spool.marks"
_MARK: Final = struct.Struct(">QI4x")
"""An id and its checksum; no mark lies across two sectors, so that it is written as a whole or not at all."""


class Marks:
    """One mark for each shard; 0 where there is none, or one that cannot be read."""

    def __init__(self, directory: Path, shards: int) -> None:
        self._path = directory / FILE
        self._shards = shards

    def read(self) -> dict[int, int]:
        """The marks by shard, none where they cannot be read. Makes the file where there is none."""
        size = self._shards * _MARK.size
        content = b""
        with suppress(OSError):
            if self._path.exists():
                content = self._path.read_bytes()
            if len(content) < size:
                self._extend(size - len(content))
        content = content.ljust(size, b"\0")
        marks = {shard: _read(content, shard) for shard in range(self._shards)}
        return {shard: mark for shard, mark in marks.items() if mark}

    def _extend(self, size: int) -> None:
        # Zeros that are written, and no hole: the bytes have to be there when the disk is full.
        with self._path.open("ab") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())

    def write(self, shard: int, mark: int) -> None:
        """Return when the mark is on the disk. Raises OSError, also where there is no file."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            encoded = mark.to_bytes(8, "big")
            os.pwrite(descriptor, _MARK.pack(mark, crc32(encoded)), shard * _MARK.size)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def _read(content: bytes, shard: int) -> int:
    mark, check = _MARK.unpack_from(content, shard * _MARK.size)
    return int(mark) if crc32(mark.to_bytes(8, "big")) == check else 0
