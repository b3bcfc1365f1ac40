from __future__ import annotations

import pytest
from starlette.types import Scope

from tidings.errors import SettingsError
from tidings.ops.admin.guard import AdminAccess, admin_access
from tidings.ops.settings.common import OpsSettings, parse

TOKEN = "correct horse battery staple"
LOCAL = ("127.0.0.1", 40000)
ADMIN = ("127.0.0.1", 9090)
POD = ("10.0.0.7", 9090)
OUTSIDE = ("10.0.0.9", 40000)


def scope(
    client: tuple[str, int] | None,
    server: tuple[str, int] | None,
    method: str = "GET",
    **headers: str,
) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "client": client, "server": server, "headers": raw}


def status(access: AdminAccess, request: Scope) -> int:
    refusal = access.refusal(request)
    return 200 if refusal is None else refusal.status_code


@pytest.fixture(params=[None, TOKEN], ids=["without token", "with token"])
def access(request: pytest.FixtureRequest) -> AdminAccess:
    return AdminAccess(request.param)


@pytest.mark.parametrize("host", ["localhost", "localhost:9090", "127.0.0.1:9090", "[::1]:9090", "LOCALHOST"])
def test_this_machine_needs_no_token(access: AdminAccess, host: str) -> None:
    assert status(access, scope(LOCAL, ADMIN, host=host)) == 200
    assert status(access, scope(("::1", 40000), ("::1", 9090), host=host)) == 200
    assert status(access, scope(None, None, host=host)) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7:9090", "", "[", "localhost:x"])
def test_a_name_that_is_not_loopbacks_is_refused(access: AdminAccess, host: str) -> None:
    assert status(access, scope(LOCAL, ADMIN, host=host)) == 400


@pytest.mark.parametrize(
    ("client", "server"),
    [
        pytest.param(OUTSIDE, POD, id="another machine"),
        pytest.param(OUTSIDE, ADMIN, id="routed to loopback"),
        pytest.param(("127.0.0.6", 40000), POD, id="through a sidecar"),
        pytest.param(None, POD, id="reset already"),
        pytest.param(None, ADMIN, id="reset already on loopback"),
    ],
)
def test_from_elsewhere_the_token_is_required(client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
    access = AdminAccess(TOKEN)
    for host in ("localhost", "10.0.0.7:9090"):
        assert status(access, scope(client, server, host=host)) == 401
        assert status(access, scope(client, server, host=host, authorization="Bearer wrong")) == 401
        assert status(access, scope(client, server, host=host, authorization=f"Basic {TOKEN}")) == 401
        assert status(access, scope(client, server, host=host, authorization=f"Bearer {TOKEN}")) == 200
    refusal = access.refusal(scope(client, server, host="localhost"))
    assert refusal is not None
    assert refusal.headers["www-authenticate"].startswith("Bearer ")
    assert status(AdminAccess(), scope(client, server, host="localhost", authorization="Bearer ")) == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "ODD"])
@pytest.mark.parametrize("authorization", ["", f"Bearer {TOKEN}"])
def test_changing_something_needs_a_header_that_no_page_can_send(method: str, authorization: str) -> None:
    access = AdminAccess(TOKEN)
    bare = scope(LOCAL, ADMIN, method, host="localhost", authorization=authorization)
    refusal = access.refusal(bare)
    assert refusal is not None
    assert refusal.status_code == 403
    assert b"X-Requested-With" in refusal.body
    meant = scope(LOCAL, ADMIN, method, host="localhost", authorization=authorization, x_requested_with="curl")
    assert status(access, meant) == 200


def test_reading_needs_no_header(access: AdminAccess) -> None:
    assert status(access, scope(LOCAL, ADMIN, "HEAD", host="localhost")) == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_may_only_link_here(access: AdminAccess, site: str) -> None:
    image = scope(LOCAL, ADMIN, host="localhost:9090", sec_fetch_site=site, sec_fetch_mode="no-cors")
    assert status(access, image) == 403
    script = scope(LOCAL, ADMIN, host="localhost:9090", sec_fetch_site=site, sec_fetch_mode="navigate")
    assert status(access, script) == 403, "a page that goes there by itself, again and again"
    link = scope(LOCAL, ADMIN, host="localhost:9090", sec_fetch_site=site, sec_fetch_user="?1")
    assert status(access, link) == 200
    token = scope(LOCAL, ADMIN, host="localhost:9090", sec_fetch_site=site, authorization=f"Bearer {TOKEN}")
    assert status(AdminAccess(TOKEN), token) == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_its_own_pages_and_typed_addresses_are_served(access: AdminAccess, site: str) -> None:
    assert status(access, scope(LOCAL, ADMIN, host="localhost:9090", sec_fetch_site=site)) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.7", "::", "admin.example"])
def test_off_loopback_nothing_starts_without_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match=f"--admin-host {host} .*: set TIDINGS_ADMIN_TOKEN"):
        admin_access(OpsSettings(admin_host=host))
    assert status(admin_access(OpsSettings(admin_host=host, admin_token=TOKEN)), scope(OUTSIDE, POD)) == 401


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_can_be_guessed_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_ADMIN_TOKEN", token)
    with pytest.raises(SettingsError, match=r"TIDINGS_ADMIN_TOKEN.*16"):
        parse(OpsSettings, "tidings", [])


def test_a_token_is_not_a_flag() -> None:
    with pytest.raises(SettingsError, match="set TIDINGS_ADMIN_TOKEN instead"):
        parse(OpsSettings, "tidings", ["--admin-token", TOKEN])
