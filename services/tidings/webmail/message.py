"""The test mail that the webmail writes (RFC 5322). Pure."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final

LOCAL_DOMAIN: Final = "localhost"

_PLAIN_ACCOUNT: Final = re.compile(r"([\w+-]+(?:\.[\w+-]+)*)(?:@([\w-]+(?:\.[\w-]+)*))?", re.ASCII)


def compose(sender: str, recipient: str, subject: str, text: str, at: datetime) -> bytes:
    """A plain text message from one account to another, with the line ends of a Maildir file.

    `subject` must be one line.
    """
    message = EmailMessage()
    message["From"] = address_of(sender)
    message["To"] = address_of(recipient)
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=LOCAL_DOMAIN)
    message.set_content(text)
    return message.as_bytes()


def address_of(account: str) -> Address:
    """An address for an account; an account that cannot be one becomes the display name of one."""
    plain = _PLAIN_ACCOUNT.fullmatch(account)
    if plain is None:
        return Address(account, "account", LOCAL_DOMAIN)
    return Address(account, plain[1], plain[2] or LOCAL_DOMAIN)
