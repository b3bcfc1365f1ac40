from __future__ import annotations

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from tidings.ops.settings.secret_values import JwtSecret, bearer, jwt_secret, token


def test_keys_in_place_of_a_secret_are_left_to_who_knows_keys() -> None:
    for key in ("-----BEGIN PUBLIC KEY-----\nx\n", '{"kty":"oct"}\n', "ssh-ed25519 AAAA\n"):
        assert jwt_secret(key) == key


def test_secrets_are_counted_in_bytes_and_tokens_in_characters() -> None:
    assert jwt_secret("ü" * 16) == "ü" * 16
    with pytest.raises(ValueError, match="has 8 characters"):
        token("ü" * 8)


def test_what_somebody_else_made_is_taken_as_it_is() -> None:
    assert bearer("x") == "x"
    with pytest.raises(ValueError, match="is empty"):
        bearer("")
    with pytest.raises(ValueError, match="newline"):
        bearer("x.y.z\n")


def test_a_secret_that_is_no_text_is_refused_as_such() -> None:
    adapter: TypeAdapter[object] = TypeAdapter(JwtSecret)
    assert adapter.validate_python(None) is None
    with pytest.raises(ValidationError, match="string"):
        adapter.validate_python(7)
    with pytest.raises(ValidationError, match="has 5 bytes"):
        adapter.validate_python(SecretStr("short"))
