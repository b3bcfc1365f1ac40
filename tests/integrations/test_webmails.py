"""The drop-ins for SnappyMail and Cypht, against stubs of the hooks that they use: neither program can be had here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from tests.support.ports import free_ports
from tests.support.roots import REPOSITORY
from tests.support.waiting import comes_true

STUBS = Path(__file__).parent / "webmails"
SECRET = "a secret of the gateways, of 32 bytes or more"
LISTEN = "export const listen = (webmail) => (globalThis.listening ??= []).push(webmail);\n"
"""In place of the real one, which test_sogo.py tries."""
SECONDS = 20.0
LIFETIME = 900


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is copied to webmails, where they have it."""
    directory = tmp_path_factory.mktemp("webmails")
    subprocess.run([REPOSITORY / "scripts" / "webmails", directory], check=True, capture_output=True)
    shutil.copytree(directory / "cypht", directory / "modules" / "tidings")
    return directory


@pytest.fixture(scope="module")
def php(built: Path) -> Iterator[httpx2.Client]:
    """PHP's own web server, where a domain is set."""
    (port,) = free_ports(1)
    (built / "key").write_text(f"{SECRET}\n")
    (built / "ini").write_text(f"key_file = {built}/key\ndomain = mail.example\n")
    env = {**os.environ, "WEBMAILS": str(built), "WEBMAIL_INI": str(built / "ini")}
    command = ["setpriv", "--pdeathsig", "KILL", "php", "-d", "error_reporting=-1", "-d", "display_errors=1"]
    with subprocess.Popen([*command, "-S", f"127.0.0.1:{port}", str(STUBS / "stubs.php")], env=env) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:

            def answers() -> bool:
                try:
                    return client.get("/snappymail").is_success
                except httpx2.TransportError:
                    return False

            assert comes_true(answers, SECONDS)
            yield client
        process.kill()


def run(name: str, *arguments: Path) -> Any:
    """What a script of the stubs prints."""
    command = ["node", "--no-warnings", str(STUBS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def account_of(answer: httpx2.Response) -> str:
    """Whose changes the browser may hear of after this answer."""
    (cookie,) = answer.headers.get_list("set-cookie")
    value, *rest = cookie.split("; ")
    name, _, token = value.partition("=")
    assert name == "tidings_token"
    attributes = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
    assert {"secure", "httponly"} <= set(attributes)
    assert (attributes["path"], attributes["samesite"], attributes["max-age"]) == ("/jmap/", "Strict", str(LIFETIME))
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert set(claims) == {"sub", "exp"}
    return str(claims["sub"])


def removes_the_cookie(answer: httpx2.Response) -> bool:
    """Whether whoever was logged in before in this browser is heard of no more."""
    (cookie,) = answer.headers.get_list("set-cookie")
    return cookie.startswith("tidings_token=deleted; expires=Thu, 01 Jan 1970") and "path=/jmap/" in cookie


@pytest.mark.parametrize(("webmail", "told"), [("snappymail", {"Result": True}), ("cypht", {"tidings_user": "LOGIN"})])
def test_the_server_hands_out_tokens_for_who_is_logged_in(php: httpx2.Client, webmail: str, told: Any) -> None:
    for login, account in (("alice@mail.example", "alice"), ("bob@x@MAIL.example", "bob@x")):
        answer = php.get(f"/{webmail}", params={"login": login})
        assert answer.json() == {name: login if value == "LOGIN" else value for name, value in told.items()}
        assert account_of(answer) == account
    refused: tuple[dict[str, str], ...] = (
        {},
        {"login": ""},
        {"login": "alice"},
        {"login": "@mail.example"},
        {"login": "alice@mail.example.org"},
        {"login": "alice@mail.example@evil.example"},
    )
    for query in refused:
        answer = php.get(f"/{webmail}", params=query)
        assert answer.json() in ({"Result": False}, [])
        assert removes_the_cookie(answer)


def test_cypht_hands_out_no_token_for_names_that_no_mail_server_has_verified(php: httpx2.Client) -> None:
    for by in ("DB", "LDAP", "dynamic", "custom"):
        answer = php.get("/cypht", params={"login": "alice@mail.example", "by": by})
        assert answer.json() == []
        assert removes_the_cookie(answer)


def test_snappymails_page_listens_once_and_refreshes_what_it_shows(built: Path) -> None:
    (built / "tidings").mkdir()
    (built / "tidings" / "listen.js").write_text(LISTEN)
    (built / "tidings" / "package.json").write_text('{"type": "module"}')
    assert run("snappymail.mjs", built / "snappymail" / "plugin" / "snappymail.js", built) == {
        "listening": 1,
        "user": "alice@mail.example",
        "did": [
            ["information", "INBOX"],
            ["information", "Sent"],
            ["remote", "TidingsToken"],
            ["remote", "TidingsToken"],
        ],
        "failed": "no token from SnappyMail: 102",
    }


def test_cyphts_page_listens_and_refreshes_lists(built: Path) -> None:
    assets = built / "modules" / "tidings" / "assets"
    (assets / "listen.js").write_text(LISTEN)
    (assets / "package.json").write_text('{"type": "module"}')
    asked = ["ajax", "hm_ajax_hook", "ajax_tidings", True]
    assert run("cypht.mjs", built / "cypht" / "site.js", built) == {
        "listening": 1,
        "user": "alice",
        "did": [asked, ["select", "imap_1_494e424f58", 2, True, True], asked, asked],
        "failed": "no token from Cypht",
    }
