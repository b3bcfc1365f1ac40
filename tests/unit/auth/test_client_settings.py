from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from tidings.auth.client_settings import Account

ACCOUNTS = TypeAdapter[str](Account)


def test_an_account_is_taken_as_it_is() -> None:
    assert ACCOUNTS.validate_python("alice@mail.example") == "alice@mail.example"


@pytest.mark.parametrize("name", ["", "a\nb", "a/b", "x" * 1_000])
def test_what_no_account_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        ACCOUNTS.validate_python(name)
