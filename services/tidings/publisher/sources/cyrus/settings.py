"""The settings of `tidings cyrus-notify`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, field_validator

from tidings.ops.settings.common import LogSettings
from tidings.ops.settings.fields import HelpGroup

DLIST: Final = "dlist:"


class CyrusNotifySettings(LogSettings):
    """Own the notify socket of Cyrus IMAP, and write its notifications to a publisher's journal."""

    help_group: ClassVar = HelpGroup(1, "Cyrus")

    socket: str = Field(
        "/run/tidings-cyrus/notify",
        description="the notify socket, as in notifysocket of imapd.conf: PATH or dlist:PATH",
    )
    journal_dir: Path = Field(
        Path("var/journal"), description="directory of the journal, the same as the publisher's --journal-dir"
    )
    virtual_domains: bool = Field(
        False, description="user names have domains: virtdomains of imapd.conf is userid or on"
    )

    @field_validator("socket")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if not value.removeprefix(DLIST):
            raise ValueError("must be a path, or dlist: and a path")
        return value

    @property
    def is_dlist(self) -> bool:
        """Whether each notification comes over a connection of its own."""
        return self.socket.startswith(DLIST)

    @property
    def socket_path(self) -> Path:
        """Where the socket is."""
        return Path(self.socket.removeprefix(DLIST))
