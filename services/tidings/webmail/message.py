"""The test mail that the webmail writes (RFC 5322). Pure."""

from __future__ import annotations

import re
from datetime import datetime
from email.contentmanager import raw_data_manager
from email.header import Header
from email.message import EmailMessage
from email.policy import compat32
from email.utils import format_datetime, formataddr, make_msgid
from typing import Final

LOCAL_DOMAIN: Final = "localhost"
_LONGEST: Final = 66
"""Characters of a text that needs no second line, whatever its words."""

_PLAIN_ACCOUNT: Final = re.compile(r"([\w+-]+(?:\.[\w+-]+)*)(?:@([\w-]+(?:\.[\w-]+)*))?", re.ASCII)


def compose(sender: str, recipient: str, subject: str, text: str, at: datetime) -> bytes:
    """A plain text message from one account to another, with the line ends of a Maildir file.

    `subject` must be one line.
    """
    # Newer policies decode encoded words in what they are given, and write line ends that come out of that.
    message = EmailMessage(compat32)
    message["From"] = _mailbox(sender)
    message["To"] = _mailbox(recipient)
    message["Subject"] = _words(subject)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=LOCAL_DOMAIN)
    message.set_content(text, content_manager=raw_data_manager)
    return message.as_bytes()


def address_of(account: str) -> str:
    """An address for an account: one of its own, or the one of all accounts that cannot be one."""
    plain = _PLAIN_ACCOUNT.fullmatch(account)
    return f"{plain[1]}@{plain[2] or LOCAL_DOMAIN}" if plain else f"account@{LOCAL_DOMAIN}"


def _mailbox(account: str) -> str:
    """The address, with the account as its display name."""
    return formataddr((_words(account), address_of(account)))


def _words(text: str) -> str:
    """A text as a header has it: in encoded words (RFC 2047) where it is not plain, or could be taken for some."""
    return text if text.isascii() and "=?" not in text and len(text) < _LONGEST else Header(text, "utf-8").encode()
