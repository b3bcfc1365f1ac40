from __future__ import annotations

import os

import pytest

from asyncio_pprof.pprof import descriptors
from asyncio_pprof.pprof.profile import synthetic


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("socket:[1234]", "socket"),
        ("pipe:[99]", "pipe"),
        ("anon_inode:[eventpoll]", "[eventpoll]"),
        ("anon_inode:inotify", "inotify"),
        ("/var/mail/alice/new", "/var/mail/alice"),
        ("/dev/null", "/dev"),
        ("/", "/"),
    ],
)
def test_descriptors_by_kind(link: str, kind: str) -> None:
    assert descriptors.kind_of(link) == kind


def test_connections_are_not_sockets_again() -> None:
    profile = descriptors.profile(
        {"socket": 10, "pipe": 2}, {("client", "poll"): 3, ("client", "websocket", "blocked"): 4}
    )
    named = {tuple(frame.function for frame in stack): values for (stack, _), values in profile.samples.items()}
    assert named == {
        ("pipe",): (2,),
        ("poll", "client", "socket"): (3,),
        ("blocked", "websocket", "client", "socket"): (4,),
        ("other", "socket"): (3,),
    }


def test_more_connections_than_sockets_were_looked_at() -> None:
    profile = descriptors.profile({"socket": 1}, {("client",): 3})
    assert profile.samples == {((synthetic("client"), synthetic("socket")), ()): (3,)}


def test_the_links_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    try:
        assert sum(link.startswith("pipe:") for link in descriptors.links()) >= 2
        monkeypatch.setattr(descriptors, "MAX_LOOKED_AT", 1)
        assert len(list(descriptors.links())) <= 1
    finally:
        os.close(reading)
        os.close(writing)
