"""What other programs do to the Maildirs of a running program."""

from __future__ import annotations

import mailbox
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path


@dataclass(frozen=True)
class Maildirs:
    """The Maildirs of a running program, as other programs use them: through Python's `mailbox`."""

    root: Path

    def create(self, account: str) -> None:
        self.root.mkdir(exist_ok=True)
        mailbox.Maildir(self.root / account, create=True)

    def deliver(
        self, account: str, subject: str, text: str = "Hello\n", *, html: str | None = None, sender: str = "Bob"
    ) -> str:
        """Deliver a mail; the key that `mailbox` knows it by."""
        message = EmailMessage()
        message["From"] = sender
        message["To"] = f"{account}@localhost"
        message["Subject"] = subject
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
        return self.deliver_raw(account, message.as_bytes())

    def deliver_raw(self, account: str, raw: bytes) -> str:
        return mailbox.Maildir(self.root / account, create=False).add(raw)

    def messages(self, account: str) -> list[mailbox.MaildirMessage]:
        return list(mailbox.Maildir(self.root / account, create=False))

    def mark_read(self, account: str, key: str) -> None:
        """As an IMAP server does: by renaming."""
        box = self.root / account
        (box / "new" / key).rename(box / "cur" / f"{key}:2,S")

    def remove(self, account: str, key: str) -> None:
        mailbox.Maildir(self.root / account, create=False).remove(key)
