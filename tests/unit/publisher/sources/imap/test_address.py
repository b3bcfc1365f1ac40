from __future__ import annotations

import pytest

from tidings.publisher.sources.imap.address import Address, Protection, address


@pytest.mark.parametrize(
    ("url", "found", "shown"),
    [
        ("imaps://mail.example", Address("mail.example", 993, Protection.TLS), "imaps://mail.example:993"),
        ("imaps://127.0.0.1:1993", Address("127.0.0.1", 1993, Protection.TLS), "imaps://127.0.0.1:1993"),
        ("imap://mail.example", Address("mail.example", 143, Protection.STARTTLS), "imap://mail.example:143"),
        ("imap://[2001:db8::1]", Address("2001:db8::1", 143, Protection.STARTTLS), "imap://[2001:db8::1]:143"),
        ("imap://localhost:1143", Address("localhost", 1143, Protection.NONE), "imap://localhost:1143"),
        ("imap://[::1]", Address("::1", 143, Protection.NONE), "imap://[::1]:143"),
    ],
)
def test_only_this_machine_is_spoken_to_in_the_clear(url: str, found: Address, shown: str) -> None:
    assert address(url) == found
    assert found.url == shown
