from __future__ import annotations

import pytest

from tidings.errors import SettingsError
from tidings.publisher.sources.postgres.outbox import check_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mail:s3cr%zzt@127.0.0.1/mail",
        "postgresql://mail:s3/cret@127.0.0.1/mail",
        "postgresql://mail:s3@cret@127.0.0.1/mail",
        "postgresql://127.0.0.1/mail?password=s3&cret",
    ],
)
def test_of_a_url_that_cannot_be_read_nothing_is_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="percent-encode") as raised:
        check_url(url)
    assert "cret" not in str(raised.value)
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mail@127.0.0.1:5432/mail",
        "postgresql://mail:s3%40cret@one:5432,two:5433/mail?target_session_attrs=primary",
        "postgresql://%2Frun%2Fpostgresql/mail",
        "postgresql:///mail?host=/run/postgresql&port=5433",
        "postgresql://[::1]:5432/mail",
        "postgresql://mail:s3?cret@127.0.0.1/mail",
    ],
)
def test_what_libpq_reads_is_left_to_it(url: str) -> None:
    check_url(url)
