"""Values: what is refused, what is described, and what each of them does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import pytest

from tests.support.chart import RABBITMQ, ROOT, TIDINGS, UMBRELLA, files, load, render
from tests.support.rendered import Rendered
from tidings.gateway.settings import GatewaySettings


def test_schemas_and_tables_are_those_of_the_values() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "chart_values.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def objects(schema: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of the objects that a schema describes the members of."""
    found = [path] if "properties" in schema else []
    for name, member in schema.get("properties", {}).items():
        if member.get("type") == "object":
            found += objects(member, (*path, name))
    return found


def misspelt(path: tuple[str, ...]) -> dict[str, Any]:
    value: dict[str, Any] = {"misspelt": 1}
    for name in reversed(path):
        value = {name: value}
    return value


@pytest.mark.parametrize("chart", [TIDINGS, RABBITMQ, UMBRELLA], ids=lambda chart: chart.name)
def test_misspelt_values_are_refused_at_every_level(chart: Any) -> None:
    with helm.Chart.load(chart) as loaded:
        schema = loaded.schema
        assert isinstance(schema, dict)
        for path in objects(schema):
            with pytest.raises(helm.HelmValuesError, match="misspelt"):
                loaded.validate_schema(misspelt(path))


def test_misspelt_values_are_refused_through_the_umbrella() -> None:
    wrong: list[dict[str, Any]] = [
        {"gateways": {}},
        {"gateway": {"settings": {"coalesceMS": 1}}},
        {"rabbitmq": {"replica": 3}},
    ]
    for values in wrong:
        with pytest.raises(helm.HelmValuesError):
            render(UMBRELLA, {"tidings": values})


@pytest.mark.parametrize(
    "values",
    [
        {"shards": 0},
        {"gateway": {"groups": 0}},
        {"gateway": {"settings": {"groups": 4}}},
        {"auth": {"mode": "basic"}},
        {"rabbitmq": {"mode": "operator"}},
        {"rabbitmq": {"replicas": 2}},
        {"gateway": {"replicas": "two"}},
        {"gateway": {"settings": {"coalesceMs": -1}}},
        {"gateway": {"settings": {"port": 80}}},
        {"gateway": {"jmapUpstream": {"url": "http://cyrus:8008/jmap"}}},
        {"image": {"digest": "0123"}},
        {"publisher": {"persistence": {"size": "big"}}},
        {"externalRabbitmq": {"vhost": "a/b"}},
        {"httpRoute": {"timeouts": {"idle": "1s"}}},
        {"tracing": {"endpoint": "collector:4318"}},
        {"tracing": {"endpoint": "http://user:secret@collector:4318"}},
        {"tracing": {"ratio": 1.5}},
        {"publisher": {"settings": {"tracingRatio": 0.5}}},
        {"nameOverride": "Mail_Push"},
        {"fullnameOverride": "1st"},
        {"commonLabels": {"app.kubernetes.io/name": "push"}},
        {"gateway": {"podLabels": {"app.kubernetes.io/component": "push"}}},
        {"rabbitmq": {"podLabels": {"app.kubernetes.io/instance": "push"}}},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmValuesError):
        render(TIDINGS, values)


EXTERNAL = {"rabbitmq": {"mode": "external"}, "externalRabbitmq": {"existingSecret": "broker"}}
INGRESS = {"ingress": {"enabled": True, "hosts": ["push.mail.example"]}}
IMAP = {"url": "imaps://mail.example", "existingSecret": "accounts"}
UPSTREAM = {"jmapUpstream": {"url": "http://cyrus:8008"}}
ROUTE = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"gateway": {"terminationGracePeriodSeconds": 10}}, "terminationGracePeriodSeconds 10 is too short"),
        (
            {"gateway": {"terminationGracePeriodSeconds": 60, "settings": {"drainSeconds": 60}}},
            "is 82. A shorter time cuts all clients off",
        ),
        ({"publisher": {"terminationGracePeriodSeconds": 5}}, "must be longer than publisher.preStopSeconds"),
        ({"admin": {"scrape": ["cpu"]}}, "admin.scrape needs admin.existingSecret"),
        ({**INGRESS, **ROUTE}, "exclude each other: enable one"),
        ({"ingress": {"enabled": True}}, "needs ingress.hosts"),
        ({"httpRoute": {"enabled": True}}, "needs httpRoute.parentRefs"),
        ({**INGRESS, "auth": {"mode": "none"}}, "auth.mode none"),
        ({**ROUTE, "auth": {"mode": "none"}}, "auth.mode none"),
        ({"auth": {"mode": "none"}, "gateway": {"service": {"type": "LoadBalancer"}}}, "auth.mode none"),
        ({"auth": {"mode": "none", "jwksUrl": "https://id.example/keys"}}, "auth.jwksUrl needs auth.mode jwt"),
        ({"auth": {"mode": "none"}, "tests": {"tokenSecret": "probe"}}, "tests.tokenSecret needs auth.mode jwt"),
        ({"auth": {"existingSecret": "s", "jwksUrl": "https://id.example/keys"}}, "verifies tokens with one of them"),
        ({"gateway": {"groups": 4}}, "gateway.groups needs gateway.settings.publicUrl"),
        ({"shards": 2, "gateway": {"groups": 4}}, "gateway.groups 4 is greater than shards 2"),
        ({"auth": {"mode": "none"}, "gateway": UPSTREAM}, "with the JWT secret"),
        ({"auth": {"jwksUrl": "https://id.example/keys"}, "gateway": UPSTREAM}, "with the JWT secret"),
        ({"gateway": {"jmapUpstream": {"proxyRequests": True}}}, "need gateway.jmapUpstream.url"),
        ({"gateway": {"jmapUpstream": {**UPSTREAM["jmapUpstream"], "caSecret": "ca"}}}, "needs an https URL"),
        ({"gateway": {"replicas": 3, "autoscaling": {"enabled": True}}}, "leave gateway.replicas empty"),
        ({"gateway": {"autoscaling": {"enabled": True, "external": True}}}, "Choose one"),
        ({"gateway": {"replicas": 3, "autoscaling": {"external": True}}}, "leave gateway.replicas empty"),
        ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 20}}}, "greater than maxReplicas"),
        ({"gateway": {"autoscaling": {"enabled": True, "cpuPercent": 0}}}, "needs connectionsPerPod or cpuPercent"),
        ({"gateway": {"autoscaling": {"enabled": True}, "resources": {"requests": None}}}, "is a percentage of"),
        ({"rabbitmq": {"mode": "external"}}, "needs externalRabbitmq.existingSecret"),
        ({"externalRabbitmq": {"existingSecret": "broker"}}, "existingSecret needs rabbitmq.mode external"),
        (
            {**EXTERNAL, "externalRabbitmq": {"existingSecret": "broker", "urlKey": "url", "tls": True}},
            "names a whole URL",
        ),
        (
            {**EXTERNAL, "externalRabbitmq": {"existingSecret": "broker", "caSecret": "ca"}},
            "needs externalRabbitmq.tls",
        ),
        (
            {"publisher": {"persistence": {"enabled": False}, "settings": {"spoolBytes": 1048576}}},
            "must survive the pod",
        ),
        ({"publisher": {"replicas": 2, "maildir": {"enabled": True}}}, "only one publisher may watch"),
        ({"publisher": {"imap": {"url": "imaps://mail.example"}}}, "need each other"),
        ({"publisher": {"imap": {"existingSecret": "accounts"}}}, "need each other"),
        ({"publisher": {"replicas": 2, "imap": IMAP}}, "would announce every change twice"),
        ({"publisher": {"replicas": 2, "journal": {"existingClaim": "j"}}}, "only one publisher may read a journal"),
        ({"webmail": {"enabled": True}}, "needs publisher.maildir.enabled"),
        ({"rabbitmq": {"replicas": 3, "persistence": {"enabled": False}}}, "cannot rejoin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_combinations_that_cannot_work_are_refused_with_a_reason(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=reason):
        render(TIDINGS, values)


def gateway(rendered: Rendered) -> dict[str, Any]:
    spec = rendered.get("Deployment", "tidings-gateway")["spec"]
    assert isinstance(spec, dict)
    return spec


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_settings_become_variables() -> None:
    values = load(TIDINGS / "ci" / "ingress-values.yaml")
    (container,) = gateway(render(TIDINGS, values))["template"]["spec"]["containers"]
    variables = environment(container)
    assert variables["TIDINGS_MAX_CONNECTIONS"] == "1000000"
    assert variables["TIDINGS_HEAD_SECONDS"] == "2.5"
    assert variables["TIDINGS_TRUSTED_PROXY"] == "10.0.0.0/8,fd00::/8"


def test_scrapers_are_told_of_the_admin_ports_of_pods_that_are_to_be_scraped() -> None:
    rendered = render(TIDINGS, {"admin": {"existingSecret": "admin", "scrape": ["cpu", "block"]}})
    for kind, name in (("Deployment", "tidings-gateway"), ("StatefulSet", "tidings-publisher")):
        pod = rendered.get(kind, name)["spec"]["template"]
        (port,) = [port for port in pod["spec"]["containers"][0]["ports"] if port["name"] == "admin"]
        told = {key: value for key, value in pod["metadata"]["annotations"].items() if "profiles.grafana.com" in key}
        assert told == {
            "profiles.grafana.com/cpu.scrape": "true",
            "profiles.grafana.com/cpu.port": str(port["containerPort"]),
            "profiles.grafana.com/block.scrape": "true",
            "profiles.grafana.com/block.port": str(port["containerPort"]),
        }
    assert "profiles.grafana.com" not in str(render(TIDINGS, {"admin": {"existingSecret": "admin"}}).objects)


def test_a_key_set_takes_the_place_of_the_secret() -> None:
    address = "https://id.example/keys"
    own, fetched = render(TIDINGS), render(TIDINGS, {"auth": {"jwksUrl": address}})
    (container,) = gateway(fetched)["template"]["spec"]["containers"]
    variables = environment(container)
    assert variables["TIDINGS_JWKS_URL"] == address
    assert "TIDINGS_JWT_SECRET" not in variables
    assert "jwt-secret" in own.get("Secret", "tidings")["data"]
    assert "jwt-secret" not in fetched.get("Secret", "tidings")["data"]


def test_gateway_and_test_take_the_account_from_the_claim_that_is_named() -> None:
    rendered = render(TIDINGS, {"auth": {"accountClaim": "https://mail.example/account"}})
    (test,) = rendered.get("Pod", "tidings-check")["spec"]["containers"]
    for container in (*gateway(rendered)["template"]["spec"]["containers"], test):
        assert environment(container)["TIDINGS_JWT_ACCOUNT_CLAIM"] == "https://mail.example/account"
    for claim in ("", "exp", 'a"b', "a\nb"):
        with pytest.raises(helm.HelmValuesError):
            render(TIDINGS, {"auth": {"accountClaim": claim}})


def test_the_test_shows_a_token_that_it_is_given_or_can_make_and_else_says_why_there_is_none() -> None:
    jwks = {"jwksUrl": "https://id.example/keys", "audience": "mail"}
    (made,) = render(TIDINGS).get("Pod", "tidings-check")["spec"]["containers"]
    assert environment(made)["TIDINGS_JWT_SECRET"]
    without = render(TIDINGS, {"auth": jwks})
    assert without.of("Pod") == []
    assert "set tests.tokenSecret" in without.notes
    assert "helm test tidings" not in without.notes
    given = render(TIDINGS, {"auth": jwks, "tests": {"tokenSecret": "probe"}})
    (shown,) = given.get("Pod", "tidings-check")["spec"]["containers"]
    variables = environment(shown)
    assert variables["TIDINGS_CLIENT_TOKEN"] == {"secretKeyRef": {"name": "probe", "key": "token"}}
    assert not [name for name in variables if "JW" in name]
    assert "helm test tidings" in given.notes


def publisher(rendered: Rendered) -> tuple[dict[str, Any], dict[str, Any]]:
    """The publisher's container and its pod's volumes, by name."""
    pod = rendered.get("StatefulSet", "tidings-publisher")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return container, {volume["name"]: volume for volume in pod["volumes"]}


def test_each_source_gets_what_it_needs() -> None:
    container, volumes = publisher(render(TIDINGS, load(TIDINGS / "ci" / "sources-values.yaml")))
    variables = environment(container)
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert variables["TIDINGS_POSTGRES_URL"] == {"secretKeyRef": {"name": "mail-database", "key": "uri"}}
    assert variables["TIDINGS_IMAP_URL"] == "imaps://mail.example"
    assert variables["TIDINGS_IMAP_ACCOUNTS"] == f"{mounts['imap']['mountPath']}/accounts"
    assert volumes["imap"]["secret"]["secretName"] == "mail-accounts"
    assert variables["TIDINGS_JOURNAL_DIR"] == mounts["journal"]["mountPath"]
    assert mounts["journal"]["subPath"] == "tidings"
    assert not mounts["journal"].get("readOnly"), "what is told is removed from it"
    assert volumes["journal"]["persistentVolumeClaim"]["claimName"] == "dovecot-journal"
    assert variables["TIDINGS_STALWART_SECRET"]["secretKeyRef"]["name"] == "stalwart-webhook"
    assert variables["TIDINGS_ACCOUNT_MAP"] == f"{mounts['account-map']['mountPath']}/map.toml"
    assert volumes["account-map"]["configMap"]["name"] == "mail-logins"


def test_a_gateway_in_front_of_a_jmap_server_knows_it_and_leaves_it_its_paths() -> None:
    values = load(TIDINGS / "ci" / "upstream-values.yaml")
    rendered = render(TIDINGS, values)
    pod = gateway(rendered)["template"]["spec"]
    (container,) = pod["containers"]
    variables = environment(container)
    assert variables["TIDINGS_JMAP_UPSTREAM"] == "https://cyrus.mail.svc:8443"
    assert variables["TIDINGS_JMAP_PROXY_REQUESTS"] == "true"
    (mount,) = [
        mount for mount in container["volumeMounts"] if variables["SSL_CERT_FILE"].startswith(mount["mountPath"])
    ]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == "cyrus-ca"
    # What pods send is held up by no policy, so none has to let the gateway reach that server.
    assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in rendered.of("NetworkPolicy"))

    paths = {"/.well-known/jmap", "/jmap/changes", "/jmap/eventsource", "/jmap/ws"}
    (rule,) = rendered.get("Ingress", "tidings-gateway")["spec"]["rules"]
    assert {path["path"] for path in rule["http"]["paths"]} == paths
    route = render(TIDINGS, {**ROUTE, "gateway": values["gateway"]}).get("HTTPRoute", "tidings-gateway")
    (rule,) = route["spec"]["rules"]
    assert {match["path"]["value"] for match in rule["matches"]} == paths


def test_without_a_jmap_server_all_of_jmap_is_the_gateways() -> None:
    rendered = render(TIDINGS, INGRESS)
    (rule,) = rendered.get("Ingress", "tidings-gateway")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/jmap", "/.well-known/jmap"]
    (container,) = gateway(rendered)["template"]["spec"]["containers"]
    assert not [name for name in environment(container) if "UPSTREAM" in name or "JMAP" in name or "SSL" in name]


def test_without_sources_nothing_of_them_is_there() -> None:
    container, volumes = publisher(render(TIDINGS))
    sources = ("POSTGRES", "IMAP", "JOURNAL", "STALWART", "ACCOUNT_MAP", "MAILDIR")
    assert not [name for name in environment(container) for source in sources if source in name]
    assert set(volumes) == {"tmp"}


def test_publishers_may_share_an_outbox() -> None:
    values = {"publisher": {"replicas": 3, "postgres": {"existingSecret": "mail-database"}}}
    container, _ = publisher(render(TIDINGS, values))
    assert environment(container)["TIDINGS_POSTGRES_URL"] == {"secretKeyRef": {"name": "mail-database", "key": "url"}}


def test_null_takes_a_setting_back() -> None:
    values = {"gateway": {"settings": {"maxConnections": None}}}
    (container,) = gateway(render(TIDINGS, values))["template"]["spec"]["containers"]
    assert "TIDINGS_MAX_CONNECTIONS" not in environment(container)


def test_an_autoscaler_of_others_is_left_the_number_of_pods() -> None:
    assert gateway(render(TIDINGS))["replicas"] == 1
    rendered = render(TIDINGS, {"gateway": {"autoscaling": {"external": True}}})
    assert "replicas" not in gateway(rendered)
    assert not rendered.of("HorizontalPodAutoscaler")
    assert rendered.get("PodDisruptionBudget", "tidings-gateway")


def test_a_rollout_goes_one_by_one_and_waits() -> None:
    spec = gateway(render(TIDINGS))
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] == 30
    slow = {"settings": {"drainSeconds": 120}}
    assert gateway(render(TIDINGS, {"gateway": slow}))["minReadySeconds"] == 5 + 2 + 120
    assert gateway(render(TIDINGS, {"gateway": {"minReadySeconds": 0}}))["minReadySeconds"] == 0
    for values in ({"settings": {"drainSeconds": 3600}}, {"minReadySeconds": 3607}):
        assert gateway(render(TIDINGS, {"gateway": values}))["progressDeadlineSeconds"] == 600 + 3607
    zones = [each["topologyKey"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    assert "topology.kubernetes.io/zone" in zones


def test_the_grace_period_follows_what_has_to_fit_into_it() -> None:
    settings = GatewaySettings()
    own = settings.drain_delay_seconds + settings.drain_seconds
    default = gateway(render(TIDINGS, {"gateway": {"preStopSeconds": 0}}))["template"]["spec"]
    assert default["terminationGracePeriodSeconds"] == own + 15
    slow = {"preStopSeconds": 7, "settings": {"drainDelaySeconds": 0, "drainSeconds": 120.5}}
    spec = gateway(render(TIDINGS, {"gateway": slow}))["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 7 + 121 + 15
    (container,) = spec["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "7"]


def test_pods_are_replaced_when_a_secret_of_the_chart_changes_only() -> None:
    annotation = "checksum/secret"
    first = render(TIDINGS, {"commonLabels": {"a": "1"}})
    second = render(TIDINGS, {"commonLabels": {"a": "2"}})
    of = [each["template"]["metadata"]["annotations"][annotation] for each in (gateway(first), gateway(second))]
    # Random values each time: on a cluster without anything in it there is nothing to look up.
    assert of[0] != of[1]
    for rendered in (first, second):
        publisher = rendered.get("StatefulSet", "tidings-publisher")["spec"]["template"]["metadata"]
        assert (
            publisher["annotations"][annotation] == gateway(rendered)["template"]["metadata"]["annotations"][annotation]
        )


def test_both_modes_reach_the_broker_through_one_mapping() -> None:
    bundled = render(TIDINGS)
    operator = render(TIDINGS, EXTERNAL)
    for rendered, secret in ((bundled, "tidings-rabbitmq"), (operator, "broker")):
        for spec in (gateway(rendered), rendered.get("StatefulSet", "tidings-publisher")["spec"]):
            variables = environment(spec["template"]["spec"]["containers"][0])
            assert variables["TIDINGS_BUS"] == "amqp://$(BUS_USERNAME):$(BUS_PASSWORD)@$(BUS_HOST):$(BUS_PORT)/"
            for name in ("username", "password", "host", "port"):
                assert variables[f"BUS_{name.upper()}"] == {"secretKeyRef": {"name": secret, "key": name}}
    assert {"username", "password", "host", "port"} <= set(bundled.get("Secret", "tidings-rabbitmq")["data"])
    assert not [each for each in operator.objects if "rabbitmq" in each["metadata"]["name"]]


@pytest.mark.parametrize(
    ("values", "spool"),
    [
        ({}, None),
        ({"persistence": {"enabled": False}}, "0"),
        ({"replicas": 2}, "0"),
        ({"replicas": 2, "settings": {"spoolBytes": 1048576}}, "1048576"),
    ],
    ids=str,
)
def test_a_spool_takes_a_volume_and_senders_that_keep_to_it(values: dict[str, Any], spool: str | None) -> None:
    spec = render(TIDINGS, {"publisher": values}).get("StatefulSet", "tidings-publisher")["spec"]
    assert environment(spec["template"]["spec"]["containers"][0]).get("TIDINGS_SPOOL_BYTES") == spool
    assert bool(spec.get("volumeClaimTemplates")) == ("persistence" not in values)


def test_publishers_in_production_keep_nothing_and_are_tied_to_no_volume() -> None:
    rendered = render(UMBRELLA, load(UMBRELLA / "values-production.yaml"))
    spec = rendered.get("StatefulSet", "tidings-publisher")["spec"]
    assert spec["replicas"] >= 2
    assert "volumeClaimTemplates" not in spec
    assert environment(spec["template"]["spec"]["containers"][0])["TIDINGS_SPOOL_BYTES"] == "0"


def test_alerts_and_dashboards_are_the_generated_ones() -> None:
    rendered = render(TIDINGS, load(TIDINGS / "ci" / "monitoring-values.yaml"))
    (rule,) = rendered.of("PrometheusRule")
    assert rule["spec"] == load(TIDINGS / "files" / "rules.yaml")
    maps = [each["data"] for each in rendered.of("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    shipped = {path.name: json.loads(path.read_text()) for path in (TIDINGS / "files" / "dashboards").glob("*.json")}
    assert {name: json.loads(text) for data in maps for name, text in data.items()} == shipped
    assert len(shipped) >= 4


def test_runbooks_are_where_the_value_says() -> None:
    base = "https://wiki.mail.example/tidings?page=runbooks#"
    rendered = render(TIDINGS, {"metrics": {"prometheusRule": {"enabled": True, "runbookUrl": f"{base}{{alert}}!"}}})
    (rule,) = rendered.of("PrometheusRule")
    alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{base}{alert['alert']}!"
    dashboards = render(
        TIDINGS, {"metrics": {"dashboards": {"enabled": True}, "prometheusRule": {"runbookUrl": f"{base}{{alert}}!"}}}
    )
    for each in dashboards.of("ConfigMap"):
        if "grafana_dashboard" in each["metadata"]["labels"]:
            ((_, text),) = each["data"].items()
            (link,) = (link for link in json.loads(text)["links"] if link["title"] == "Runbooks")
            assert link["url"] == base
    for wrong in (
        "",
        "docs/runbooks/{alert}",
        "https://x/",
        "https://x/{alert}\n",
        "https://x/{alarm}",
        "https://x/{alert}{alert}",
    ):
        with pytest.raises(helm.HelmValuesError):
            render(TIDINGS, {"metrics": {"prometheusRule": {"runbookUrl": wrong}}})


def alerts(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The alerts of a release, by name."""
    (rule,) = render(TIDINGS, {"metrics": {"prometheusRule": {"enabled": True, **values}}}).of("PrometheusRule")
    return {alert["alert"]: alert for group in rule["spec"]["groups"] for alert in group["rules"]}


def test_alerts_are_as_the_values_say() -> None:
    ours = alerts({})
    given = {
        "TidingsGatewaysNearlyFull": {"threshold": 0.95, "for": "1h", "labels": {"severity": "critical", "page": "no"}},
        "TidingsLoopStuck": {"threshold": 20},
        "TidingsFeedGaps": {"enabled": False},
    }
    theirs = alerts({"alertLabels": {"team": "mail"}, "alerts": given})
    assert set(ours) - set(theirs) == {"TidingsFeedGaps"}
    full = theirs["TidingsGatewaysNearlyFull"]
    assert full["expr"] == ours["TidingsGatewaysNearlyFull"]["expr"].replace("> 0.8", "> 0.95")
    assert (full["for"], full["labels"]) == ("1h", {"severity": "critical", "page": "no", "team": "mail"})
    assert theirs["TidingsLoopStuck"]["expr"].count("> 20") == 2
    late = theirs["TidingsPushesLate"]
    assert {**late, "labels": None} == {**ours["TidingsPushesLate"], "labels": None}
    assert late["labels"] == {"severity": "warning", "team": "mail"}


def test_a_group_of_which_all_alerts_are_off_is_not_there() -> None:
    off = {name: {"enabled": False} for name in alerts({}) if "Broker" in name}
    values = {"metrics": {"prometheusRule": {"enabled": True, "alerts": off}}}
    (rule,) = render(TIDINGS, values).of("PrometheusRule")
    assert "tidings-broker" not in [group["name"] for group in rule["spec"]["groups"]]


@pytest.mark.parametrize(
    "given",
    [{"TidingsPushesSlow": {}}, {"TidingsFeedsNotLive": {"threshold": 2}}, {"TidingsLoopStuck": {"for": "soon"}}],
    ids=str,
)
def test_alerts_that_there_are_not_and_thresholds_that_they_do_not_have_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmValuesError):
        alerts({"alerts": given})


def test_clients_are_kept_out_where_nobody_is_authenticated() -> None:
    policy = render(UMBRELLA).get("NetworkPolicy", "tidings-gateway")
    (rule,) = (rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == "http")
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "tidings"}}}]


def test_a_release_whose_services_could_not_be_named_is_refused() -> None:
    with helm.Chart.load(TIDINGS) as loaded:
        with pytest.raises(helm.HelmRenderError, match="begin with a letter"):
            files(loaded, {}, "1st")
        files(loaded, {"fullnameOverride": "first"}, "1st")


def strings(value: Any, key: str) -> Iterator[str]:
    """The values of every map of this name, at whatever depth."""
    for name, below in value.items() if isinstance(value, dict) else enumerate(value):
        if name == key:
            yield from below.values()
        elif isinstance(below, dict | list):
            yield from strings(below, key)


@pytest.mark.parametrize("values", [{}, {"nameOverride": "n" * 63, "rabbitmq": {"nameOverride": "r" * 63}}], ids=len)
@pytest.mark.parametrize("name", ["a" * 53, "tidings-rabbitmq", "push.mail"])
def test_names_fit_whatever_the_release_is_called(name: str, values: dict[str, Any]) -> None:
    with helm.Chart.load(UMBRELLA) as loaded:
        rendered = Rendered.of_files(files(loaded, {"tidings": values}, name))
    # A pod's label holds its StatefulSet's name and a hash of ten characters.
    assert max(len(each["metadata"]["name"]) for each in rendered.of("StatefulSet")) <= 52
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert max(len(name) for _, name in names) <= 63
    assert len(names) == len(set(names))
    assert all("." not in name for _, name in names)
    for each in rendered.objects:
        for labels in ("labels", "matchLabels"):
            assert max(map(len, strings(each, labels)), default=0) <= 63


def test_where_traces_go_is_told_to_those_who_make_some() -> None:
    rendered = render(TIDINGS, {"tracing": {"endpoint": "http://collector:4318", "ratio": 0.25}})
    (container,) = gateway(rendered)["template"]["spec"]["containers"]
    told = environment(container)
    assert (told["TIDINGS_TRACING_ENDPOINT"], "TIDINGS_TRACING_RATIO" in told) == ("http://collector:4318", False)
    told = environment(publisher(rendered)[0])
    assert (told["TIDINGS_TRACING_ENDPOINT"], told["TIDINGS_TRACING_RATIO"]) == ("http://collector:4318", "0.25")
    assert "TIDINGS_TRACING_ENDPOINT" not in environment(publisher(render(TIDINGS))[0])
