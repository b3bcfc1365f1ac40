from __future__ import annotations

import random

from tidings.ops.outage import BURST, EVERY_SECONDS, Outage, Stage, Told


def stages(outage: Outage, *times: float) -> list[Stage | None]:
    return [None if (told := outage.failed(time)) is None else told.stage for time in times]


def test_an_outage_is_told_as_it_begins_once_a_minute_and_as_it_ends() -> None:
    outage = Outage()
    assert outage.mended(0.0) is None
    assert stages(outage, 10, 11, 69.9, 70, 71, 130) == [Stage.BEGUN, None, None, Stage.LASTS, None, Stage.LASTS]
    assert outage.lasts
    assert outage.mended(140) == Told(Stage.OVER, 130, 6)
    assert outage.mended(141) is None
    assert not outage.lasts


def test_it_lasts_until_all_who_noticed_it_see_its_end() -> None:
    outage = Outage()
    assert outage.failed(0, "publish") == Told(Stage.BEGUN, 0, 1)
    assert outage.failed(1, "consume") is None
    assert outage.mended(2, "publish") is None
    assert outage.failed(3, "publish") is None
    assert outage.mended(4, "consume") is None
    assert outage.mended(5, "publish") == Told(Stage.OVER, 5, 3)


def test_who_has_not_failed_for_long_is_not_waited_for() -> None:
    outage = Outage()
    outage.failed(0, "gone quiet")
    outage.failed(50, "busy")
    assert outage.mended(60, "busy") == Told(Stage.OVER, 60, 2)


def after_others() -> Outage:
    """As many as are told were told, the last of them at 2."""
    outage = Outage()
    for time in range(BURST):
        assert stages(outage, time) == [Stage.BEGUN]
        assert outage.mended(time + 0.5) is not None
    return outage


def test_a_short_outage_soon_after_others_is_not_told() -> None:
    outage = after_others()
    assert stages(outage, 10, 12) == [None, None]
    assert outage.mended(14) is None


def test_a_longer_one_soon_after_others_is_told_when_it_has_lasted() -> None:
    outage = after_others()
    assert stages(outage, 10, 14.9, 15, 40, 74.9, 75) == [None, None, Stage.BEGUN, None, None, Stage.LASTS]
    assert outage.mended(80) == Told(Stage.OVER, 70, 6)


def test_a_short_one_long_after_others_is_told() -> None:
    outage = after_others()
    assert stages(outage, EVERY_SECONDS) == [Stage.BEGUN]


def test_what_goes_and_comes_all_the_time_is_told_at_a_pace() -> None:
    outage = Outage()
    draw = random.Random(1)
    now, lines = 0.0, 0
    while now < 20 * EVERY_SECONDS:
        now += draw.uniform(0, 0.5)
        told = outage.failed(now) if draw.random() < 0.5 else outage.mended(now)
        lines += told is not None
    assert 20 <= lines <= 2 * BURST * 21
