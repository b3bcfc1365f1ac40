from __future__ import annotations

import pytest

from tests.support import chart


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`rendered` is each file of values that the charts have, rendered."""
    if "rendered" in metafunc.fixturenames:
        variants = chart.variants()
        metafunc.parametrize("rendered", variants.values(), ids=variants.keys())
