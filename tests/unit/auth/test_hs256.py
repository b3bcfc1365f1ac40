"""PyJWT is the oracle: nothing is let in that it refuses, and what it makes is read as it reads it."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.auth import hs256

SECRET = b"a secret of thirty-two bytes or more"
HEADER = b'{"alg":"HS256","typ":"JWT"}'
CLAIMS = b'{"sub":"alice"}'
PAYLOADS = st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.none() | st.lists(st.text()))


def part(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def signed(signing_input: bytes, secret: bytes = SECRET) -> str:
    """A token whose MAC is right, whatever else it is."""
    return (signing_input + b"." + part(hmac.digest(secret, signing_input, hashlib.sha256))).decode("latin-1")


def made(header: bytes, payload: bytes = CLAIMS) -> str:
    return signed(part(header) + b"." + part(payload))


def oracle(token: str) -> bytes | None:
    try:
        payload: bytes = jwt.PyJWS().decode(token, SECRET, ["HS256"])
    except (jwt.PyJWTError, ValueError):
        return None
    return payload


@given(payload=PAYLOADS, secret=st.binary(min_size=32, max_size=100), key_id=st.none() | st.text(max_size=20))
def test_what_the_library_makes_is_read(payload: dict[str, object], secret: bytes, key_id: str | None) -> None:
    headers = {} if key_id is None else {"kid": key_id}
    token = jwt.PyJWS().encode(json.dumps(payload).encode(), secret, "HS256", headers)
    read = hs256.payload(token, secret)
    assert read is not None
    assert json.loads(read) == payload
    assert hs256.payload(token, secret + b"!") is None


@given(data=st.data())
def test_a_token_that_was_changed_anywhere_is_none(data: st.DataObject) -> None:
    token = made(HEADER)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))
    for changed in (
        token[:at] + other + token[at + 1 :],
        token[:at] + other + token[at:],
        token[:at] + token[at + 1 :],
        token[:at],
    ):
        assert hs256.payload(changed, SECRET) is None


@given(text=st.text())
def test_nonsense_is_none(text: str) -> None:
    assert hs256.payload(text, SECRET) is None


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "hs256", "none", "None", "HS512", "RS256", "", None, 1, ["HS256"]]),
        "crit": st.sampled_from([[], ["b64"], ["exp"], None, "b64", [1]]),
        "b64": st.sampled_from([True, False, None, 0, "false"]),
        "kid": st.sampled_from(["a", None, 1, ["a"]]),
        "typ": st.sampled_from(["JWT", None, 1]),
        "jku": st.just("https://evil.example/"),
    },
)


@given(header=HEADERS.map(lambda header: json.dumps(header).encode()) | st.binary(max_size=30))
@example(header=HEADER + b"x")
@example(header=b'{"alg":"none","alg":"HS256"}')
@example(header=b'{"alg":"HS256","alg":"none"}')
@example(header=b'{"alg":"HS256","x":"\xff"}')
@example(header=b'{"alg":"HS256","x":NaN}')
@example(header=b'{"alg":"HS256","x":' + b"[" * 100_000)
@example(header=b'["HS256"]')
@example(header=b'{"alg":"HS256","crit":["exp"]}')
@example(header=b'{"alg":"HS256","b64":false}')
@example(header=b"")
def test_a_header_that_the_library_refuses_is_refused(header: bytes) -> None:
    token = made(header)
    assert hs256.payload(token, SECRET) in (None, oracle(token))


def _with_one_more(parts: tuple[bytes, bytes, int]) -> bytes:
    payload, odd, at = parts
    signing_input = part(HEADER) + b"." + part(payload)
    return signing_input[:at] + odd + signing_input[at:]


@given(
    signing_input=st.binary(max_size=40)
    | st.tuples(st.binary(), st.sampled_from([b"=", b"+", b"/", b".", b"\n", b"A", b"\xe9"]), st.integers(0, 60)).map(
        _with_one_more
    )
)
@example(signing_input=part(HEADER))
@example(signing_input=part(HEADER) + b".." + part(CLAIMS))
@example(signing_input=part(HEADER) + b"." + part(CLAIMS) + b".")
@example(signing_input=part(HEADER) + b"." + part(CLAIMS) + b"=")
@example(signing_input=part(HEADER) + b".A")
@example(signing_input=part(HEADER) + b".+/+/")
@example(signing_input=part(HEADER) + b".-_-_")
@example(signing_input=b"." + part(CLAIMS))
@example(signing_input=b".")
def test_parts_that_the_library_refuses_are_refused(signing_input: bytes) -> None:
    token = signed(signing_input)
    assert hs256.payload(token, SECRET) in (None, oracle(token))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_hash_is_refused(algorithm: str) -> None:
    assert hs256.payload(jwt.PyJWS().encode(CLAIMS, SECRET * 2, algorithm), SECRET * 2) is None


def test_the_example_of_the_rfc_is_read() -> None:
    """RFC 7515 appendix A.1."""
    key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    secret = jwt.utils.base64url_decode(key)
    assert hs256.payload(token, secret) == (
        b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    )
