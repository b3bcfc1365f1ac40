from __future__ import annotations

from itertools import islice

from tests.faults.schedule import Fault, steps


def test_a_round_has_every_fault_once_and_a_seed_brings_the_same_again() -> None:
    one, two = (list(islice(steps(7), 3 * len(Fault))) for _ in range(2))
    assert one == two
    for begin in range(0, len(one), len(Fault)):
        assert {step.fault for step in one[begin : begin + len(Fault)]} == set(Fault)
