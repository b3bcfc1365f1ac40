"""The page docs/integrate/cyrus.md, done as it says: on Debian's Cyrus as it is installed."""

from __future__ import annotations

import asyncio
import configparser
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.clients import event_stream
from tests.support.cyrus import PACKAGES, RELEASES
from tests.support.processes import tidings
from tests.support.roots import REPOSITORY, Root, root
from tests.support.waiting import comes_true
from tidings.ops.settings.common import parse
from tidings.publisher.sources.cyrus.settings import CyrusNotifySettings

SECONDS = 20.0
UNIT = REPOSITORY / "integrations" / "cyrus" / "tidings-cyrus-notify.service"
DIRECTORIES = "/run/cyrus /run/cyrus/lock /run/cyrus/proc /run/cyrus/socket"
"""What Debian makes when the machine starts."""
ANSWERS_NOBODY = r"/listen=\"\(imap\|pop3\|nntp\|8008\|localhost:sieve\)\"/d"
"""What a test has to say: nobody else is to find this server."""


def commands() -> list[str]:
    """What the section of the first push has one type, block by block."""
    page = (REPOSITORY / "docs" / "integrate" / "cyrus.md").read_text()
    section = page.partition("## The first push")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def flags_of(line: str, command: str) -> list[str]:
    program, given, *flags = shlex.split(line.removesuffix(" &"))
    assert (program, given) == ("tidings", command)
    return flags


@contextmanager
def mail_server(version: str) -> Iterator[Root]:
    """Cyrus as Debian has it, in a directory whose path is short enough for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="tidings-"))
    try:
        with root(RELEASES[version], *PACKAGES).copied(directory / "r") as place:
            place.run("sed", "-i", ANSWERS_NOBODY, "/etc/cyrus.conf")
            # The page's users are there already.
            place.run("sh", "-c", "echo 'autocreate_post: yes' >>/etc/imapd.conf")
            place.run("sh", "-c", f"install -d -o cyrus -g mail {DIRECTORIES}")
            yield place
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_from_nothing_to_the_first_push(version: str, tmp_path: Path) -> None:
    settings, directory, run, restart, listen, deliver = commands()
    assert restart == "service cyrus-imapd restart\n"
    with mail_server(version) as place:

        def inside(path: str) -> str:
            return f"{place.path}{path}"

        shutil.copytree(REPOSITORY / "integrations", place.path / "integrations")
        place.run("sh", "-euc", settings + directory)
        notify, up = run.splitlines()
        _, path, _, journal = flags = flags_of(notify, "cyrus-notify")
        assert flags == ["--socket", path, "--journal-dir", journal]
        assert flags_of(up, "up") == ["--journal-dir", journal]
        shown = tmp_path / "shown"
        shown.mkdir()
        own = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
        with (
            tidings("cyrus-notify", "--socket", inside(path), "--journal-dir", inside(journal)),
            tidings("up", "--journal-dir", inside(journal), *own) as tidings_up,
            place.start("/usr/sbin/cyrmaster", "-D", shown=shown) as cyrus,
        ):
            assert comes_true((place.path / "run/cyrus/socket/lmtp").exists, SECONDS), cyrus.said()
            (url,) = re.findall(r"curl -N 'http://127.0.0.1:8080(.*)' &", listen)
            async with event_stream(tidings_up.url("gateway", url)) as stream:
                first = await stream.event()
                assert first is not None
                assert first.type == "cursor"
                try:
                    await asyncio.to_thread(cyrus.run, "sh", "-euc", deliver)
                    told: dict[str, str] = {}
                    # INBOX has to be made first, which is told before.
                    while "EmailDelivery" not in told:
                        told = (await stream.changed())["alice"]
                except BaseException:
                    sys.stderr.write(cyrus.said())
                    raise
                assert set(told) == {"Email", "Mailbox", "Thread", "EmailDelivery"}
                assert len(set(told.values())) == 1
                assert told["Email"].isdigit()


def test_the_unit_has_the_socket_where_the_settings_look_for_it() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    program, command, *flags = shlex.split(unit["Service"]["ExecStart"])
    assert (program, command) == ("/usr/bin/tidings", "cyrus-notify")
    settings = parse(CyrusNotifySettings, "tidings cyrus-notify", flags, {})
    documented = (REPOSITORY / "integrations" / "cyrus" / "imapd.conf").read_text()
    assert f"\nnotifysocket: {settings.socket}\n" in documented
    assert settings.socket_path.parent == Path("/run", unit["Service"]["RuntimeDirectory"])
    assert settings.journal_dir == Path("/var/lib", unit["Service"]["StateDirectory"])
