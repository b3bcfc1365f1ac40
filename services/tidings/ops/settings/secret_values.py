"""The secrets of settings: neither guessable, nor with white space that nobody meant. Pure.

An error never repeats a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BeforeValidator, SecretStr

MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key has at least 256 bits."""
MIN_TOKEN_CHARACTERS: Final = 16


def _trimmed(secret: str) -> str:
    """Refuse white space around a secret: no token in a header has any, and who verifies would need the same."""
    if secret.endswith(("\n", "\r")):
        raise ValueError("ends with a newline, which would be part of the secret: write it with printf %s, or echo -n")
    if secret != secret.strip():
        raise ValueError("begins or ends with white space, which would be part of the secret")
    return secret


def is_key(secret: str) -> bool:
    """Whether it is a key of another kind by mistake, which is refused with that reason where it is used.

    A public one is known to everybody, who could then sign.
    """
    return "-----BEGIN" in secret or secret.lstrip().startswith(("{", "ssh-", "ecdsa-sha2-"))


def jwt_secret(secret: str) -> str | None:
    """An HS256 secret. Empty is none."""
    if not secret:
        return None
    if is_key(secret):
        return secret
    size = len(_trimmed(secret).encode("utf-8", "surrogateescape"))
    if size < MIN_SECRET_BYTES:
        raise ValueError(
            f"has {size} bytes, and HS256 needs {MIN_SECRET_BYTES} at least (RFC 7518 section 3.2): "
            "make one with openssl rand -hex 32"
        )
    return secret


def token(secret: str) -> str:
    """A token that is presented in an Authorization header."""
    _trimmed(secret)
    if not secret.isprintable():
        raise ValueError("holds a control character, which no HTTP header can have")
    if len(secret) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"has {len(secret)} characters, and needs {MIN_TOKEN_CHARACTERS} at least, so that nobody guesses it: "
            "make one with openssl rand -hex 16"
        )
    return secret


def tokens(secret: str) -> str:
    """Comma-separated tokens, with or without blanks between them."""
    _trimmed(secret.strip(" "))
    for number, each in enumerate(secret.split(","), 1):
        if not each.strip():
            raise ValueError("holds an empty token: list them as one,two")
        try:
            token(each.strip())
        except ValueError as error:
            raise ValueError(f"token {number} of the list {error}" if "," in secret else str(error)) from None
    return secret


def bearer(secret: str) -> str:
    """A token that somebody else made, such as a JWT."""
    if not secret:
        raise ValueError("is empty: leave it out if there is none")
    return _trimmed(secret)


def _secret(check: Callable[[str], str | None]) -> BeforeValidator:
    def checked(value: object) -> object:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        return check(plain) if isinstance(plain, str) else plain

    return BeforeValidator(checked)


JwtSecret = Annotated[SecretStr | None, _secret(jwt_secret)]
Token = Annotated[SecretStr | None, _secret(token)]
Tokens = Annotated[SecretStr | None, _secret(tokens)]
Bearer = Annotated[SecretStr | None, _secret(bearer)]
