from __future__ import annotations

from dataclasses import replace

import pytest

from tidings.publisher.troubles import WAITED_SECONDS, SpoolState, troubles

EMPTY = SpoolState(changes=0, bytes=0, capacity=1000, oldest=0.0, failure=None, full=False)
HOLDS = replace(EMPTY, changes=1200, bytes=300, oldest=42.0)


def told(*, log_takes: bool, spool: SpoolState | None) -> dict[str, str]:
    """Why, by runbook."""
    found = list(troubles(log_takes=log_takes, spool=spool))
    assert len({trouble.runbook for trouble in found}) == len(found)
    return {trouble.runbook.removeprefix("Tidings"): f"{trouble.what}: {trouble.why}" for trouble in found}


@pytest.mark.parametrize("spool", [None, EMPTY])
def test_a_publisher_that_is_well_has_none(spool: SpoolState | None) -> None:
    assert told(log_takes=True, spool=spool) == {}


def test_what_passes_through_the_spool_is_none() -> None:
    assert told(log_takes=True, spool=replace(HOLDS, oldest=WAITED_SECONDS)) == {}
    assert told(log_takes=False, spool=EMPTY) == {}


def test_without_a_spool_ingest_is_refused_at_once() -> None:
    for spool in (None, replace(EMPTY, capacity=0, full=True)):
        assert told(log_takes=False, spool=spool) == {
            "PublisherRefuses": "Ingest is refused (503): the log takes no changes, and there is no spool"
        }


def test_changes_that_wait() -> None:
    waits = {
        "ChangesWait": "1,200 changes wait in the spool: "
        "the oldest has waited 42 s: clients do not know of these changes"
    }
    assert told(log_takes=False, spool=HOLDS) == waits
    assert told(log_takes=True, spool=HOLDS) == waits
    assert told(log_takes=False, spool=replace(HOLDS, oldest=0.0)).keys() == {"ChangesWait"}


def test_a_spool_that_fills_up() -> None:
    filling = told(log_takes=False, spool=replace(HOLDS, bytes=640))
    assert filling.keys() == {"ChangesWait", "SpoolFilling"}
    assert filling["SpoolFilling"] == "The spool is 64% full: changes that wait for the log fill 640 of its 1,000 bytes"


@pytest.mark.parametrize("log_takes", [False, True])
def test_a_full_spool(log_takes: bool) -> None:
    full = told(log_takes=log_takes, spool=replace(HOLDS, bytes=950, full=True))
    assert full["SpoolFilling"].startswith("The spool is full: ")
    refused = "Ingest is refused (503): the log takes no changes, and the spool is full"
    assert full.get("PublisherRefuses") == (None if log_takes else refused)


def test_a_spool_that_fails() -> None:
    failing = replace(EMPTY, failure="disk I/O error")
    assert told(log_takes=True, spool=failing) == {"SpoolFails": "The spool cannot be written or read: disk I/O error"}
    assert told(log_takes=False, spool=failing)["PublisherRefuses"].endswith(
        "the spool cannot be written: disk I/O error"
    )
