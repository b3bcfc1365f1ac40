"""What became of an account's mailboxes between two looks at them, in RFC 5423 event names. Pure.

A look is the STATUS of every mailbox. It does not tell a delivery from what a user stored or moved, so that is
inferred. What arrives in INBOX is a delivery. What arrives in another mailbox is one if that has more unread messages
than before, and these have not just left another mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

INBOX: Final = b"INBOX"


class Folder(NamedTuple):
    """The STATUS of a mailbox. A `modseq` of 0 is none (RFC 7162 section 3.1.2.2): then flags are not compared."""

    uidvalidity: int = 0
    uidnext: int = 0
    messages: int = 0
    unseen: int = 0
    modseq: int = 0
    subscribed: bool = False


def updated(folder: Folder, numbers: Mapping[str, int]) -> Folder:
    """A folder of which some numbers are others now."""
    return Folder(**{**folder._asdict(), **numbers})


Folders = Mapping[bytes, Folder]


def is_exact(folders: Folders) -> bool:
    """Whether no change can have escaped a comparison with these: each mailbox that has messages has a modseq."""
    return all(folder.modseq for folder in folders.values() if folder.uidvalidity)


def events(before: Folders, after: Folders, *, live: bool) -> frozenset[str]:
    """What happened. `live`: between the two looks there was little time, so that what left has also arrived."""
    found: set[str] = set()
    renamed = _renamed(before, after)
    for name, new in after.items():
        if name not in before and name not in renamed:
            found.add("MailboxCreate")
            if new.messages:
                found.add("MessageAppend")
    for name in _went(before, after, renamed):
        found.add("MailboxDelete")
        if before[name].messages:
            found.add("MessageExpunge")
    if renamed:
        found.add("MailboxRename")
    pairs = [(new, before[old], after[new]) for new, old in renamed.items()]
    pairs += [(name, folder, after[name]) for name, folder in before.items() if name in after]
    changed = [(name, old, new) for name, old, new in pairs if old != new]
    moved = sum(_left_unseen(old, new) for _, old, new in changed) if live else 0
    for name, old, new in changed:
        found |= _subscription(old, new) | _messages(name, old, new, moved)
    return frozenset(found)


def is_between(before: Folders, after: Folders) -> bool:
    """Whether the second look may have come while a mailbox got another name: it has neither, or both.

    A server reads the names one after the other, and none of them waits for that.
    """
    if before.keys() == after.keys():
        return False
    there = {before[name].uidvalidity for name in before if name in after} - {0}
    came = {folder.uidvalidity for name, folder in after.items() if name not in before}
    return bool(_went(before, after, _renamed(before, after)) or there & came)


def _renamed(before: Folders, after: Folders) -> dict[bytes, bytes]:
    """The old name of each mailbox that has another one now.

    It keeps its UIDVALIDITY. Its UIDNEXT is what it was, or more: messages may have come meanwhile.
    """
    met = [(folder.uidnext, 0, name) for name, folder in before.items() if name not in after and folder.uidvalidity]
    met += [(folder.uidnext, 1, name) for name, folder in after.items() if name not in before]
    found: dict[bytes, bytes] = {}
    left: dict[int, list[bytes]] = {}
    for _, is_new, name in sorted(met):
        if not is_new:
            left.setdefault(before[name].uidvalidity, []).append(name)
        elif same := left.get(after[name].uidvalidity):
            found[name] = same.pop()
    return found


def _went(before: Folders, after: Folders, renamed: Mapping[bytes, bytes]) -> list[bytes]:
    """The mailboxes that are no more, under any name."""
    others = set(renamed.values())
    return [name for name in before if name not in after and name not in others]


def _subscription(old: Folder, new: Folder) -> set[str]:
    if old.subscribed == new.subscribed:
        return set()
    return {"MailboxSubscribe" if new.subscribed else "MailboxUnSubscribe"}


def _left_unseen(old: Folder, new: Folder) -> int:
    return max(0, old.unseen - new.unseen) if new.messages < old.messages else 0


def _messages(name: bytes, old: Folder, new: Folder, moved: int) -> set[str]:
    if old.uidvalidity != new.uidvalidity:
        return {"MessageExpunge", "MessageAppend"}
    found: set[str] = set()
    # A server may give UIDs that it does not use: so many messages have come at the most.
    came = new.uidnext - old.uidnext
    if came > 0 or new.messages > old.messages:
        delivered = name == INBOX or new.unseen - old.unseen > moved
        found.add("MessageNew" if delivered else "MessageAppend")
    if new.messages < old.messages + max(0, came):
        found.add("MessageExpunge")
    if not found and (old.unseen, old.modseq) != (new.unseen, new.modseq):
        found.add(_flags(old, new))
    return found


def _flags(old: Folder, new: Folder) -> str:
    if new.unseen < old.unseen:
        return "MessageRead"
    return "FlagsClear" if new.unseen > old.unseen else "FlagsSet"
