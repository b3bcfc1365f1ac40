from __future__ import annotations

from collections.abc import Collection

import pytest

from tidings.ops.settings.environment import Variables, nearest, sort

OWN = {"TIDINGS_PORT", "TIDINGS_MAX_CONNECTIONS", "TIDINGS_ADMIN_PORT"}
ALL = OWN | {"TIDINGS_GATEWAY_URL", "TIDINGS_INGEST_TOKEN"}


def found(**environ: str) -> Variables:
    return sort(environ, OWN, lambda: ALL)


def test_variables_are_sorted_by_whose_they_are() -> None:
    environ = {
        "PATH": "/bin",
        "TIDINGS_PORT": "80",
        "TIDINGS_GATEWAY_URL": "http://x",
        "TIDINGS_MAX_CONECTIONS": "5",
        "TIDINGS_GATEWAY_SERVICE_HOST": "10.0.0.1",
    }
    assert found(**environ) == Variables(
        given={"TIDINGS_PORT": "80"},
        unused=("TIDINGS_GATEWAY_URL",),
        links=("TIDINGS_GATEWAY_SERVICE_HOST",),
        unknown=("TIDINGS_MAX_CONECTIONS",),
    )


def test_the_settings_of_other_commands_are_asked_for_only_when_that_matters() -> None:
    def fail() -> Collection[str]:
        raise AssertionError

    assert sort({"TIDINGS_PORT": "80", "HOME": "/"}, OWN, fail).given == {"TIDINGS_PORT": "80"}


@pytest.mark.parametrize(
    "environ",
    [
        # What Kubernetes sets for Services named tidings, tidings-gateway and tidings-admin.
        {"TIDINGS_PORT": "tcp://10.0.0.1:80"},
        {"TIDINGS_PORT_80_TCP": "tcp://10.0.0.1:80"},
        {"TIDINGS_PORT_80_TCP_PROTO": "tcp"},
        {"TIDINGS_PORT_80_TCP_PORT": "80"},
        {"TIDINGS_PORT_80_TCP_ADDR": "10.0.0.1"},
        {"TIDINGS_SERVICE_HOST": "10.0.0.1"},
        {"TIDINGS_SERVICE_PORT": "80"},
        {"TIDINGS_SERVICE_PORT_HTTP": "80"},
        {"TIDINGS_GATEWAY_PORT": "tcp://10.0.0.1:80"},
        {"TIDINGS_GATEWAY_PORT_53_UDP_ADDR": "10.0.0.1"},
        {"TIDINGS_GATEWAY_SERVICE_PORT_HTTP_METRICS": "80"},
        {"TIDINGS_ADMIN_PORT": "udp://10.0.0.1:80"},
    ],
)
def test_what_kubernetes_sets_is_nobodys_setting(environ: dict[str, str]) -> None:
    assert found(**environ) == Variables(given={}, unused=(), links=tuple(environ), unknown=())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDINGS_GATEWAY_PORT", "80"),
        ("TIDINGS_SERVICE", "x"),
        ("TIDINGS_LINK", "tcp://10.0.0.1:80"),
        ("tidings_port", "80"),
    ],
)
def test_what_only_looks_like_it_is_unknown(name: str, value: str) -> None:
    assert found(**{name: value}).unknown == (name,)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TIDINGS_MAX_CONECTIONS", "TIDINGS_MAX_CONNECTIONS"),
        ("TIDINGS_MAXCONNECTIONS", "TIDINGS_MAX_CONNECTIONS"),
        ("tidings_port", "TIDINGS_PORT"),
        ("TIDINGS_INGEST_TOKENS", "TIDINGS_INGEST_TOKEN"),
        ("TIDINGS_XYZZY", None),
    ],
)
def test_the_nearest_setting_is_named(name: str, meant: str | None) -> None:
    assert nearest(name, ALL) == meant
