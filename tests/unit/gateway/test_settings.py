from __future__ import annotations

import pytest

from tidings.commands.settings import UpSettings
from tidings.errors import SettingsError
from tidings.gateway.settings import GatewaySettings
from tidings.ops.settings.fields import build

SECRET = {"TIDINGS_JWT_SECRET": "a secret of thirty-two bytes or more"}


@pytest.mark.parametrize("command", [GatewaySettings, UpSettings])
def test_a_server_to_push_for_is_taken_with_a_secret_for_tokens(command: type[GatewaySettings]) -> None:
    given = build(command, {"auth": "jwt", "jmap_upstream": "http://127.0.0.1:8008/"}, SECRET)
    assert given.jmap_upstream == "http://127.0.0.1:8008/"


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        ({"jmap_upstream": "http://a"}, {}, "--jmap-upstream .* needs --auth jwt with an HS256 secret"),
        ({"jmap_upstream": "http://a"}, SECRET, "--jmap-upstream .* needs --auth jwt"),
        ({"jmap_upstream": "http://a", "auth": "jwt", "jwt_key": "key.pem"}, {}, "TIDINGS_JWT_SECRET"),
        ({"jmap_proxy_requests": True}, {}, "--jmap-proxy-requests .* needs a server .*--jmap-upstream"),
        ({"jmap_upstream": "http://user:pass@a", "auth": "jwt"}, SECRET, "must not hold a user name"),
        ({"jmap_upstream": "http://a/jmap", "auth": "jwt"}, SECRET, "must end after host and port"),
    ],
)
def test_what_cannot_work_is_refused(flags: dict[str, object], environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        build(GatewaySettings, flags, environ)
    assert "pass@" not in str(refused.value)
