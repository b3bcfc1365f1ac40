from __future__ import annotations

from random import Random

from tidings.check.behaviour import Form, episode, reconnect_seconds


def test_the_same_seed_makes_the_same_client() -> None:
    one, two = Random("7 client 3"), Random("7 client 3")
    assert [episode(one) for _ in range(20)] == [episode(two) for _ in range(20)]


def test_clients_do_everything_there_is_to_do() -> None:
    random = Random(1)
    episodes = [episode(random) for _ in range(1_000)]
    assert {each.form for each in episodes} == set(Form)
    for member in ("forgets", "stall_seconds", "vanishes"):
        assert {bool(getattr(each, member)) for each in episodes} == {False, True}
    assert all(0 <= reconnect_seconds(random) <= 1 for _ in range(100))
