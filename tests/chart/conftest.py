from __future__ import annotations

import pytest

from tests.support.chart import VARIANTS, variant
from tests.support.rendered import Rendered


@pytest.fixture(params=VARIANTS)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    """Each file of values that the charts have, rendered."""
    return variant(request.param)
