"""Which files this process has open: a test that compares two answers sees what stayed open in between."""

from __future__ import annotations

import gc
import os
from collections import Counter
from contextlib import suppress


def open_files() -> Counter[str]:
    """The open files of this process by what each of them is, such as `socket:[4711]`.

    Compare as `open_files() - before`: the difference has only what is new. Files that earlier tests of the same
    process left to the garbage collector may go at any time, and are in no difference.
    """
    gc.collect()
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        # The descriptor of this listing is gone by now.
        with suppress(FileNotFoundError):
            found[os.readlink(f"/proc/self/fd/{number}")] += 1
    return found
