"""The text of an error for the log: bounded, and without the values of local variables, which may be tokens or mail."""

from __future__ import annotations

import json
from traceback import TracebackException
from types import TracebackType
from typing import Final

MAX_BYTES: Final = 4096
"""The size of a traceback in the log, as JSON has it."""
_MAX_LINE: Final = 400
"""Characters of one line: an error's own text may be as long as what it complains about."""
_HEAD: Final = 0.25
"""The share of what is kept that comes from the beginning. The innermost frame and the error are at the end."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def rendered(exc_info: ExcInfo) -> str:
    """A traceback of at most MAX_BYTES. What is left out is said in its place."""
    # With more frames Python leaves out the middle; groups are bounded by themselves.
    lines = "".join(TracebackException(*exc_info, limit=-50, compact=True).format()).splitlines()
    return shortened("\n".join(shortened(line, _MAX_LINE) for line in lines), MAX_BYTES)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and end so that it takes at most `most` bytes as JSON."""
    if len(text) <= most and _size(text) <= most:
        return text
    mark = f" ... {len(text)} characters in all ... "
    room = most - len(mark)
    head = _fitting(text[:most], int(room * _HEAD))
    tail = _fitting(text[-most:][::-1], room - int(room * _HEAD))[::-1]
    return f"{head}{mark}{tail}"


def kind(error: BaseException) -> tuple[str, str, int]:
    """What makes two errors the same fault: the type, and the file and line that raised it.

    Of a group the first error counts.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__qualname__, "", 0
    return type(error).__qualname__, trace.tb_frame.f_code.co_filename, trace.tb_lineno


def _size(text: str) -> int:
    return len(json.dumps(text)) - len('""')


def _fitting(text: str, most: int) -> str:
    """As much of the beginning as fits."""
    size = 0
    for at, character in enumerate(text):
        size += _size(character)
        if size > most:
            return text[:at]
    return text
