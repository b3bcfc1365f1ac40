"""The page docs/integrate/dovecot.md, done as it says: on Debian's Dovecot as it is installed, with system users."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.clients import event_stream
from tests.support.dovecot import PACKAGES
from tests.support.dovecot_server import RELEASES
from tests.support.processes import tidings
from tests.support.roots import REPOSITORY, Program, root
from tests.support.waiting import comes_true

TOKEN = "token-of-the-page-of-dovecot"
ALICE = 1_000
SECONDS = 20.0
QUIET = """
listen = 127.0.0.1
log_path = /var/log/dovecot.log
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 0
  }
}
"""
"""What a test has to say: nobody else is to find this server."""


def commands() -> list[str]:
    """What the section of the first push has one type, block by block."""
    page = (REPOSITORY / "docs" / "integrate" / "dovecot.md").read_text()
    section = page.partition("## The first push")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def make_package() -> Path:
    """The package, made as `make` does."""
    script = [REPOSITORY / "scripts" / "dovecot-package"]
    said = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    return REPOSITORY / said.removeprefix("Written: ").rstrip()


@contextmanager
def installed(version: str, directory: Path) -> Iterator[tuple[Program, Path]]:
    """Dovecot as Debian has it, with a user alice, and the directory that is its root."""
    with root(RELEASES[version], *PACKAGES).copied(directory / "root") as place:
        (place.path / "etc/dovecot/local.conf").write_text(QUIET)
        place.run("useradd", "--create-home", "--uid", str(ALICE), "alice")
        shown = directory / "shown"
        shown.mkdir()
        with place.start("/usr/sbin/dovecot", "-F", shown=shown) as program:
            try:
                assert comes_true((place.path / "run/dovecot/master.pid").exists, SECONDS)
                yield program, place.path
            except BaseException:
                log = place.path / "var/log/dovecot.log"
                sys.stderr.write(program.said() + (log.read_text() if log.exists() else ""))
                raise


@pytest.mark.parametrize("version", sorted(RELEASES))
async def test_from_nothing_to_the_first_push(version: str, tmp_path: Path) -> None:
    make, install, run, settings, listen, deliver = commands()
    assert make == "make dovecot-package\n"
    assert re.search(r"^dovecot-package:.*\n\t@scripts/dovecot-package$", _text("Makefile"), re.MULTILINE)
    package = make_package()
    with installed(version, tmp_path) as (dovecot, place):

        def on_the_mail_server(block: str, **variables: str) -> str:
            given = [f"{name}={value}" for name, value in variables.items()]
            return dovecot.run("env", *given, "sh", "-euc", f"cd /\n{block}")

        (place / "build").mkdir()
        shutil.copy(package, place / "build")
        on_the_mail_server(install)
        journal = place / "var/lib/tidings/journal"
        assert journal.is_dir()
        token, up = run.splitlines()
        assert token.startswith("export TIDINGS_INGEST_TOKENS=")
        program, command, *flags, background = shlex.split(up)
        assert (program, command, flags, background) == (
            "tidings",
            "up",
            ["--journal-dir", "/var/lib/tidings/journal"],
            "&",
        )
        mail = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
        with tidings("up", flags[0], str(journal), *mail, env={"TIDINGS_INGEST_TOKENS": TOKEN}) as tidings_up:
            ours = settings.replace(
                "doveadm reload",
                f"sed -i s/8081/{tidings_up.ports['ingest']}/ /etc/dovecot/conf.d/12-tidings.conf\ndoveadm reload",
            )
            assert ours != settings
            on_the_mail_server(ours, TIDINGS_INGEST_TOKENS=TOKEN)
            (url,) = re.findall(r"curl -N 'http://127.0.0.1:8080(.*)' &", listen)
            async with event_stream(tidings_up.url("gateway", url)) as stream:
                first = await stream.event()
                assert first is not None
                assert first.type == "cursor"
                await asyncio.to_thread(on_the_mail_server, deliver)
                told: set[str] = set()
                # INBOX may have to be made first, which is told before.
                while "Email" not in told:
                    told |= set((await stream.changed())["alice"])
                assert told == {"Email", "Mailbox", "Thread"}
        # With nobody there, what is to be told is kept for the publisher's user, whoever wrote it.
        on_the_mail_server(deliver)
        (kept,) = [name for name in os.listdir(journal) if name.endswith(".jsonl")]
        assert kept.endswith(f"-{ALICE}.jsonl")
        as_publisher = "setpriv --reuid=tidings --regid=tidings --clear-groups"
        path = f"/var/lib/tidings/journal/{kept}"
        assert '"subject":"alice"' in on_the_mail_server(f"{as_publisher} cat {path}")
        on_the_mail_server(f"{as_publisher} mv {path} {path}.claimed && {as_publisher} rm {path}.claimed")


def _text(name: str) -> str:
    return (REPOSITORY / name).read_text()
