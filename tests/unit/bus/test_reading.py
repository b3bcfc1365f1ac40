from __future__ import annotations

from typing import NoReturn

import pytest

from tidings.bus.log import Entry, Take
from tidings.bus.reading import one_by_one
from tidings.errors import ReadLost


@pytest.mark.parametrize("error", [ReadLost("the stream is gone"), ZeroDivisionError("a fault of ours")])
async def test_what_ends_the_reading_is_raised_behind_what_came_before(error: Exception) -> None:
    async def follow(take: Take) -> NoReturn:
        taken = take([Entry(1, b"one")])
        assert taken is not None
        await taken
        raise error

    entries = one_by_one(follow)
    assert (await anext(entries)).payload == b"one"
    with pytest.raises(type(error)):
        await anext(entries)
