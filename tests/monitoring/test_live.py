"""Dashboards and alerts against the running services: every metric that they name is there, every query is answered."""

from __future__ import annotations

import asyncio
import mailbox
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from prometheus_client.parser import text_string_to_metric_families

from monitoring.alerts import all_alerts
from tests.monitoring.prometheus import SECONDS, Prometheus, prometheus
from tests.monitoring.queries import Written, selected, written
from tests.support.broker import Broker
from tests.support.clients import jmap_client
from tests.support.jmap_server import basic, jmap_server
from tests.support.keys import jwk, key_server, private_key
from tests.support.otlp import receiver
from tests.support.ports import free_ports
from tests.support.processes import Tidings, tidings
from tests.support.tls import make_certificate
from tests.support.waiting import eventually, patient

TOKEN = "ingest-token-of-tests"
ENVIRONMENT = {"TIDINGS_INGEST_TOKENS": TOKEN, "TIDINGS_INGEST_TOKEN": TOKEN}
SECRET = {"TIDINGS_JWT_SECRET": "a secret of thirty-two bytes or more"}
NEVER_IN_HEALTH = {
    "tidings_publisher_failures_total",
    "tidings_publisher_imap_failures_total",
    "tidings_source_gaps_total",
    "tidings_spool_refused_changes_total",
}
"""What has no series before something fails."""
OF_PROMETHEUS = {"up"}
"""What whoever scrapes makes itself."""
OF_A_SLOW_MACHINE = {"TidingsLateBurnsFast", "TidingsLateBurns", "TidingsPushesLate"}
"""What is pending for minutes after the machine has kept one of the few changes here waiting for a second."""
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "unknown": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


def samples_of(text: str) -> set[str]:
    """The names of series in an exposition, those included that have no value yet."""
    families = text_string_to_metric_families(text)
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


@dataclass
class Suite:
    """Publisher, gateway, webmail and RabbitMQ, each with its metrics; a gateway that fetches keys, and one in `front`
    of a JMAP server. The publisher sends traces to a collector.
    """

    publisher: Tidings
    gateway: Tidings
    webmail: Tidings
    front: Tidings
    maildir: Path
    metrics_ports: dict[str, int]

    def names(self) -> set[str]:
        """Of the metrics of all."""
        ports = self.metrics_ports.values()
        return {name for port in ports for name in samples_of(httpx2.get(f"http://127.0.0.1:{port}/metrics").text)}


@contextmanager
def key_set(directory: Path) -> Iterator[str]:
    """The address of an identity provider with one key."""
    certificate = make_certificate(directory)
    with pytest.MonkeyPatch.context() as patch, start_blocking_portal() as elsewhere:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        with elsewhere.wrap_async_context_manager(key_server(certificate)) as server:
            server.offer(jwk(private_key("ES256"), "ES256", kid="1"))
            yield server.url


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    directory = tmp_path_factory.mktemp("suite")
    root = directory / "mail"
    root.mkdir()
    mailbox.Maildir(root / "alice", create=True)
    (metrics_port,) = free_ports(1)
    settings = ("prometheus.tcp.ip = 127.0.0.1", f"prometheus.tcp.port = {metrics_port}")
    with Broker(plugins=("rabbitmq_prometheus",), settings=settings) as broker, ExitStack() as stack:

        def start(command: str, *flags: str, **environment: str) -> Tidings:
            return stack.enter_context(tidings(command, *flags, env={**ENVIRONMENT, **environment}))

        state = ("--state-dir", str(directory / "state"))
        traced = ("--tracing-endpoint", stack.enter_context(receiver()).url)
        publisher = start("publisher", "--bus", broker.url, "--maildir", str(root), *state, *traced)
        gateway = start("gateway", "--bus", broker.url, "--workers", "2")
        webmail = start("webmail", "--maildir", str(root), "--ingest-url", publisher.url("ingest"))
        keys = start(
            "gateway", "--bus", broker.url, "--auth", "jwt", "--jwks-url", stack.enter_context(key_set(directory))
        )
        elsewhere = stack.enter_context(start_blocking_portal())
        server = stack.enter_context(elsewhere.wrap_async_context_manager(jmap_server()))
        front = start("gateway", "--bus", broker.url, "--auth", "jwt", "--jmap-upstream", server.url, **SECRET)
        publisher.wait_connected()
        gateway.wait_connected()
        ours = {"publisher": publisher, "gateway": gateway, "webmail": webmail, "keys": keys, "front": front}
        ports = {name: service.ports["probe"] for name, service in ours.items()}
        yield Suite(publisher, gateway, webmail, front, root / "alice", {**ports, "rabbitmq": metrics_port})


@pytest.fixture(scope="module")
def scraping(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), suite.metrics_ports) as running:
        yield running


def post(suite: Suite, token: str) -> int:
    event = {"specversion": "1.0", "id": "1", "source": "test", "type": "mail.FlagsSet", "subject": "alice"}
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {token}"}
    return httpx2.post(suite.publisher.url("ingest", "/v1/changes"), json=event, headers=headers).status_code


def test_every_metric_that_is_named_is_exposed(suite: Suite) -> None:
    exposed = suite.names() | OF_PROMETHEUS
    named = {(query.where, each.metric) for query in written() for each in selected(query.expr)}
    assert {(where, metric) for where, metric in named if metric not in exposed} == set()


async def test_a_prometheus_that_scrapes_them_answers_every_query(suite: Suite, scraping: Prometheus) -> None:
    await use(suite)
    async with jmap_client(suite.gateway.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()
        await scraping.scraped(len(suite.metrics_ports))
        shown = [query for query in written() if query.alert is None]
        missing = await never_answered(scraping, shown)
    assert missing == set()
    for query in written():
        scraping.query(query.expr)
        for each in selected(query.expr):
            for series in scraping.query(each.metric):
                assert each.labels <= set(series["metric"]), (query, each)


async def use(suite: Suite) -> None:
    """Something of everything that is counted while nothing fails."""
    at = suite.gateway.url("gateway")
    async with jmap_client(suite.gateway.url("gateway", "/jmap/ws?account=alice", "ws")) as client:
        await client.subscribe()
        await asyncio.to_thread(mailbox.Maildir(suite.maildir).add, "Subject: Hello\n\nHello.")
        await client.changed()
    async with httpx2.AsyncClient(base_url=at) as http:
        assert (await http.get("/jmap/changes?account=alice")).status_code == 200
        assert (
            await http.get("/jmap/changes?account=alice", headers={"Origin": "https://evil.example"})
        ).status_code == 403
    assert await asyncio.to_thread(post, suite, TOKEN) == 202
    async with httpx2.AsyncClient(
        base_url=suite.front.url("gateway"), headers={"Authorization": basic("alice")}
    ) as http:
        assert (await http.get("/.well-known/jmap")).status_code == 200
    page = suite.webmail.url("webmail")
    async with httpx2.AsyncClient(base_url=page, headers={"Origin": page}) as http:
        mail = {"to": "alice", "subject": "Hello", "text": "Hello."}
        assert (await http.post("/api/messages?account=alice", json=mail)).status_code == 201


async def never_answered(scraping: Prometheus, queries: Sequence[Written]) -> set[str]:
    """The metrics of queries that have no answer however long they are asked, though they should have one."""
    deadline = time.monotonic() + patient(SECONDS)
    while (missing := unanswered(scraping, queries) - NEVER_IN_HEALTH) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return missing


def unanswered(scraping: Prometheus, queries: Sequence[Written]) -> set[str]:
    """The metrics of queries that have no answer."""
    empty = (query for query in queries if not scraping.query(query.expr))
    return {each.metric for query in empty for each in selected(query.expr)}


async def test_rules_are_loaded_and_a_healthy_installation_wakes_nobody(suite: Suite, scraping: Prometheus) -> None:
    await scraping.scraped(len(suite.metrics_ports))
    await eventually(lambda: all(rule["health"] != "unknown" for rule in rules_of(scraping)), SECONDS)
    rules = rules_of(scraping)
    assert {rule["name"] for rule in rules} == {alert.name for alert in all_alerts()}
    assert {rule["health"] for rule in rules} == {"ok"}
    # A busy machine may miss a scrape: until the next one nobody is ready, as far as can be said.
    await eventually(lambda: waking(scraping) == [], SECONDS)


def waking(scraping: Prometheus) -> list[dict[str, str]]:
    """The labels of the alerts that fire or are about to."""
    alerts = scraping.get("/alerts")["alerts"]
    return [
        alert["labels"]
        for alert in alerts
        if alert["state"] == "firing" or alert["labels"]["alertname"] not in OF_A_SLOW_MACHINE
    ]


def rules_of(scraping: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in scraping.get("/rules")["groups"] for rule in group["rules"]]
