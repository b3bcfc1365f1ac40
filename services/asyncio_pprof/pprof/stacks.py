"""Stacks as they are found, fast and without names, and what they are called afterwards."""

from __future__ import annotations

import gc
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, chain, islice, repeat
from operator import itemgetter
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Final

from asyncio_pprof.pprof.profile import Frame, Stack, synthetic

MAX_FRAMES: Final = 128
"""A deeper stack loses its outermost frames."""

Found = tuple[int, ...]
"""A stack by the ids of its code objects and the places in them, alternately: numbers are cheap to hash and compare.
The hash of a code object is not, for it is one of all that is in it."""

CUT: Final = synthetic("[more frames]")


def outward(frame: FrameType | None) -> list[FrameType]:
    """A frame of the calling thread and those around it, the innermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < MAX_FRAMES:
        frames.append(frame)
        frame = frame.f_back
    return frames


def frames_of(thread: int) -> list[FrameType]:
    """The frames of any thread, by its identifier, the innermost first; none of one that has ended.

    Between two steps of a loop in Python the other thread may run. A coroutine that it suspends meanwhile keeps a
    pointer to where it was called from, and following that crashes the process (seen on 3.11). So the whole way is
    taken within one call into C, which nothing interrupts, not even the collector of garbage.
    """
    frames: list[FrameType | None] = []
    innermost = islice(map(itemgetter(thread), iter(sys._current_frames, None)), 1)  # noqa: SLF001 - for profilers
    way = accumulate(chain(innermost, repeat("f_back", MAX_FRAMES - 1)), getattr)
    collects = gc.isenabled()
    gc.disable()
    try:
        # Beyond the outermost frame there is None, which has no f_back.
        with suppress(AttributeError, KeyError):
            frames.extend(way)
    finally:
        if collects:
            gc.enable()
    return [frame for frame in frames if frame is not None]


class Symbols:
    """Names for stacks. It keeps the code objects alive, for their ids are what it knows them by."""

    def __init__(self) -> None:
        self._codes: dict[int, CodeType] = {}
        self._frames: dict[tuple[int, int], Frame] = {}
        self._lines: dict[int, tuple[list[int], list[int]]] = {}
        self._modules = Modules(sys.path)

    @property
    def places(self) -> int:
        """How many places in code have been named."""
        return len(self._frames)

    def walk(self, frames: Iterable[FrameType]) -> Found:
        """The stack of these frames."""
        found: list[int] = []
        codes = self._codes
        for frame in frames:
            code = frame.f_code
            key = id(code)
            codes[key] = code
            found += (key, frame.f_lasti)
        return tuple(found)

    def note(self, frame: FrameType) -> tuple[int, int]:
        """One frame of a stack that is put together elsewhere."""
        code = frame.f_code
        self._codes[id(code)] = code
        return id(code), frame.f_lasti

    def name(self, found: Found) -> Stack:
        """The same stack with names."""
        places = iter(found)
        frames = tuple(self._frame(key, place) for key, place in zip(places, places, strict=True))
        return (*frames, CUT) if len(frames) == MAX_FRAMES else frames

    def stack(self, frames: Iterable[FrameType]) -> Stack:
        """The stack of these frames, with names."""
        return self.name(self.walk(frames))

    def _frame(self, key: int, place: int) -> Frame:
        known = self._frames.get((key, place))
        if known is None:
            code = self._codes[key]
            function = f"{self._modules.of(code.co_filename)}.{code.co_qualname}"
            known = Frame(function, code.co_filename, code.co_firstlineno, self._line(key, place))
            self._frames[key, place] = known
        return known

    def _line(self, key: int, place: int) -> int:
        if key not in self._lines:
            lines = [(start, line) for start, _, line in self._codes[key].co_lines() if line is not None]
            self._lines[key] = ([start for start, _ in lines], [line for _, line in lines])
        starts, lines_of = self._lines[key]
        at = bisect_right(starts, place) - 1
        return lines_of[at] if at >= 0 else self._codes[key].co_firstlineno


class Modules:
    """Names of modules by their files."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = sorted((root.rstrip("/") + "/" for root in roots if root), key=len, reverse=True)
        self._known: dict[str, str] = {}

    def of(self, file: str) -> str:
        """What a module is imported as; of a file that none of the roots leads to, its own name."""
        known = self._known.get(file)
        if known is None:
            self._known[file] = known = self._found(file)
        return known

    def _found(self, file: str) -> str:
        # <frozen importlib._bootstrap>, <string>. Tools take what is in such brackets for arguments of templates.
        if file.startswith("<"):
            return file.strip("<>").removeprefix("frozen ")
        root = next((root for root in self._roots if file.startswith(root)), None)
        path = PurePath(file.removeprefix(root) if root else PurePath(file).name)
        if not path.name:
            return "?"
        return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
