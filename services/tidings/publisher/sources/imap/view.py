"""What a server has told of an account's mailboxes so far, and what has to be asked again. Pure."""

from __future__ import annotations

from typing import Final

from tidings.errors import ImapError
from tidings.publisher.sources.imap.folders import INBOX, Folder, updated
from tidings.publisher.sources.imap.responses import Condition, Listed, Response, Status, Touched

MAX_FOLDERS: Final = 10_000
"""Mailboxes of one account. Each takes about 300 bytes."""
_UNSELECTABLE: Final = frozenset({b"\\NOSELECT", b"\\NONEXISTENT"})


class View:
    """Takes every response that ends no command.

    `folders` are the mailboxes as far as they are known; `stale` says that the list of them has to be asked for again,
    `touched` that something happened to the selected one, `flagged` that this were flags, `told_inbox` that the server
    told of INBOX unasked, `changed` that it told of any mailbox, and `overflow` that it tells no more (RFC 5465
    section 5.8).
    """

    def __init__(self) -> None:
        self.folders: dict[bytes, Folder] = {}
        self.stale = False
        self.touched = False
        self.flagged = False
        self.told_inbox = False
        self.changed = False
        self.overflow = False
        self._listing: dict[bytes, Folder] | None = None
        self._selectable: list[bytes] = []

    @property
    def news(self) -> bool:
        """Whether anything was told that may be a change."""
        return self.stale or self.touched or self.changed or self.overflow

    def take(self, response: Response) -> None:
        """Raises ImapError (protocol) for more mailboxes than there may be."""
        match response:
            case Status():
                self._take_status(response)
            case Listed():
                self._take_listed(response)
            case Touched(kind):
                self.touched = True
                self.flagged = self.flagged or kind == b"FETCH"
            case Condition(code=code) if code.upper() == "NOTIFICATIONOVERFLOW":
                self.overflow = True

    def begin(self) -> None:
        """What is told from now on is the answer to a question for all mailboxes."""
        self._listing = {}
        self._selectable = []
        self.stale = self.touched = self.flagged = False

    @property
    def selectable(self) -> list[bytes]:
        """The mailboxes of the answer that have a STATUS."""
        return self._selectable

    def end(self) -> None:
        """The answer is complete: there are no others."""
        if self._listing is not None:
            self.folders, self._listing = self._listing, None

    def selected(self) -> None:
        """What was told of a mailbox as it was selected is no news."""
        self.touched = self.flagged = False

    def _take_listed(self, listed: Listed) -> None:
        if self._listing is None:
            self.stale = True
            return
        if b"\\NONEXISTENT" in listed.attributes:
            self._listing.pop(listed.mailbox, None)
            return
        if len(self._listing) >= MAX_FOLDERS:
            raise ImapError("protocol", f"more than {MAX_FOLDERS} mailboxes in one account")
        known = self._listing.get(listed.mailbox) or self.folders.get(listed.mailbox, Folder())
        self._listing[listed.mailbox] = known._replace(subscribed=b"\\SUBSCRIBED" in listed.attributes)
        if not listed.attributes & _UNSELECTABLE:
            self._selectable.append(listed.mailbox)

    def _take_status(self, status: Status) -> None:
        listing = self._listing
        if listing is None:
            self.changed = True
            self.told_inbox = self.told_inbox or status.mailbox == INBOX
        folders = self.folders if listing is None or status.mailbox not in listing else listing
        known = folders.get(status.mailbox)
        if known is not None:
            folders[status.mailbox] = updated(known, status.numbers)
        elif listing is None:
            self.stale = True
