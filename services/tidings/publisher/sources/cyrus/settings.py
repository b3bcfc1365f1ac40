"""The settings of `tidings cyrus-notify`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field, field_validator

from tidings.ops.settings.common import LogSettings
from tidings.ops.settings.fields import HelpGroup

DLIST: Final = "dlist:"


class CyrusNotifySettings(LogSettings):
    """Take in what Cyrus IMAP tells over its notify socket, and keep it for a publisher, in the publisher's journal."""

    help_group: ClassVar = HelpGroup(1, "Cyrus")

    socket: str = Field(
        "/run/tidings-cyrus/notify",
        description="socket to own, as imapd.conf has it at notifysocket: PATH or dlist:PATH",
    )
    journal_dir: Path = Field(
        Path("var/journal"), description="directory of the journal, which is the publisher's --journal-dir too"
    )
    virtual_domains: bool = Field(
        False, description="the names of users have domains: virtdomains of imapd.conf is userid or on"
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
