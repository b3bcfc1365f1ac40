"""What Helm needs of a Kubernetes API server: objects that are kept, listed, changed and watched, and nothing more.

It stores what it is given. It validates, defaults and admits nothing (other tests hold objects against the schemas),
runs no controller, and answers server-side apply by merging. What it shows is what Helm does with a cluster: which
objects it looks up, creates, keeps and deletes.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import helm_python as helm
import yaml

from tests.support.rendered import NAMESPACE, RELEASE, Object, Rendered

RESOURCES: dict[str, dict[str, str]] = {
    "v1": {
        "ConfigMap": "configmaps",
        "Namespace": "namespaces",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Pod": "pods",
        "Secret": "secrets",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "monitoring.coreos.com/v1": {"PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"},
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
WATCH_SECONDS = 300.0


@dataclass
class Store:
    """Objects by resource and name, and what happened to them."""

    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    events: list[tuple[str, str, Object]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    on_pod: Callable[[Object], Object] = lambda pod: pod
    """Runs a pod that somebody creates, and gives it back with its status."""
    namespaces: set[str] = field(default_factory=lambda: {"kube-system", NAMESPACE})

    def get(self, collection: str, name: str) -> Object | None:
        """An object: one that was put, or one that every cluster or namespace has of itself."""
        kinds = {("v1/namespaces", each): "Namespace" for each in self.namespaces}
        kinds |= {(f"v1/{each}/serviceaccounts", "default"): "ServiceAccount" for each in self.namespaces}
        kind = kinds.get((collection, name))
        of_itself = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}} if kind else None
        return self.objects.get((collection, name), of_itself)

    def put(self, collection: str, value: Object) -> Object:
        """Create or replace an object."""
        with self.changed:
            key = (collection, value["metadata"]["name"])
            known = key in self.objects
            metadata = value["metadata"]
            metadata.setdefault("uid", self.objects[key]["metadata"]["uid"] if known else str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
            metadata["resourceVersion"] = str(len(self.events) + 1)
            self.objects[key] = value
            self.events.append(("MODIFIED" if known else "ADDED", collection, json.loads(json.dumps(value))))
            self.changed.notify_all()
        if not known and collection.endswith("/pods"):
            run = threading.Thread(target=lambda: self.put(collection, self.on_pod(value)), daemon=True)
            run.start()
        return value

    def delete(self, collection: str, name: str) -> None:
        """Forget an object."""
        with self.changed:
            self.events.append(("DELETED", collection, self.objects.pop((collection, name))))
            self.changed.notify_all()

    def listed(self, collection: str, query: Mapping[str, list[str]]) -> list[Object]:
        """The objects of a collection that the selectors of a query choose."""
        return [value for (where, _), value in self.objects.items() if where == collection and selected(value, query)]


def selected(value: Object, query: Mapping[str, list[str]]) -> bool:
    """Whether labelSelector and fieldSelector (equality only) choose an object."""
    labels = value["metadata"].get("labels", {})
    for each in filter(None, query.get("labelSelector", [""])[0].split(",")):
        name, _, wanted = each.partition("=")
        if labels.get(name) != wanted.removeprefix("="):
            return False
    for each in filter(None, query.get("fieldSelector", [""])[0].split(",")):
        name, _, wanted = each.partition("=")
        if name == "metadata.name" and value["metadata"]["name"] != wanted:
            return False
    return True


def patched(value: Any, patch: Any) -> Any:
    """An object changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, member in patch.items():
        if member is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), member)
    return result


class Handler(BaseHTTPRequestHandler):
    """One request of the API."""

    protocol_version = "HTTP/1.1"
    # Or the body waits for 40 ms, until the client acknowledges the head.
    disable_nagle_algorithm = True
    store: Store

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has
        """Nothing is printed."""

    def answer(self, value: Object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, status: int, reason: str) -> None:
        self.answer(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": reason,
                "message": reason,
                "code": status,
            },
            status,
        )

    def body(self) -> Any:
        return yaml.safe_load(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")

    def target(self) -> tuple[str, str, str | None, dict[str, list[str]]]:
        """Group and version, collection, name and query of the request."""
        parts = urlsplit(self.path)
        steps = parts.path.strip("/").split("/")
        depth = 2 if steps[0] == "api" else 3
        version = "/".join(steps[1:depth])
        rest = steps[depth:]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            collection, name = "/".join([version, rest[1], rest[2]]), rest[3] if len(rest) > 3 else None
        else:
            collection, name = "/".join([version, *rest[:1]]), rest[1] if len(rest) > 1 else None
        return version, collection, name, parse_qs(parts.query)

    def do_GET(self) -> None:
        discovery = discover(urlsplit(self.path).path)
        if discovery is not None:
            self.answer(discovery)
            return
        version, collection, name, query = self.target()
        if version not in RESOURCES:
            self.fail(404, "NotFound")
        elif name is not None:
            found = self.store.get(collection, name)
            self.answer(found) if found else self.fail(404, "NotFound")
        elif "sendInitialEvents" in query:
            # As a server answers that is older than this way of listing; clients then list and watch.
            self.fail(422, "Invalid")
        elif query.get("watch") in (["true"], ["1"]):
            self.watch(collection, query)
        else:
            items = self.store.listed(collection, query)
            kind = next(kind for kind, plural in RESOURCES[version].items() if collection.endswith(f"/{plural}"))
            metadata = {"resourceVersion": str(len(self.store.events))}
            self.answer({"kind": f"{kind}List", "apiVersion": version, "metadata": metadata, "items": items})

    def watch(self, collection: str, query: Mapping[str, list[str]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen = int(query.get("resourceVersion", ["0"])[0] or 0)
        while True:
            with self.store.changed:
                while len(self.store.events) == seen:
                    if not self.store.changed.wait(WATCH_SECONDS):
                        return
                fresh, seen = self.store.events[seen:], len(self.store.events)
            for kind, where, value in fresh:
                if where == collection and selected(value, query):
                    line = json.dumps({"type": kind, "object": value}).encode() + b"\n"
                    try:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                        self.wfile.flush()
                    except OSError:
                        return

    def do_POST(self) -> None:
        _, collection, _, _ = self.target()
        value = self.body()
        if (collection, value["metadata"]["name"]) in self.store.objects:
            self.fail(409, "AlreadyExists")
        else:
            self.answer(self.store.put(collection, value), 201)

    def do_PUT(self) -> None:
        _, collection, _, _ = self.target()
        self.answer(self.store.put(collection, self.body()))

    def do_PATCH(self) -> None:
        _, collection, name, _ = self.target()
        assert name is not None
        known = self.store.objects.get((collection, name))
        self.answer(self.store.put(collection, patched(known or {}, self.body())), 200 if known else 201)

    def do_DELETE(self) -> None:
        _, collection, name, _ = self.target()
        self.body()
        if name is None or (collection, name) not in self.store.objects:
            self.fail(404, "NotFound")
        else:
            self.store.delete(collection, name)
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})


def discover(path: str) -> Object | None:
    """What a path of the API's description of itself says."""
    groups = [version for version in RESOURCES if version != "v1"]
    if path == "/version":
        return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        described = [
            {"name": group, "versions": [each], "preferredVersion": each}
            for version in groups
            for group, number in [version.split("/")]
            for each in [{"groupVersion": version, "version": number}]
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": described}
    if path.startswith("/openapi/v3"):
        return openapi(path)
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in RESOURCES:
        return None
    resources = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": kind != "Namespace", "verbs": VERBS}
        for kind, plural in RESOURCES[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def openapi(path: str) -> Object:
    """As much OpenAPI as tells Helm that checking fields is left to the server."""
    roots = {("api/" if version == "v1" else "apis/") + version: version for version in RESOURCES}
    if path == "/openapi/v3":
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    root = path.removeprefix("/openapi/v3/")
    group, _, number = roots[root].rpartition("/")
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {
        f"/{root}/namespaces/{{namespace}}/{plural}/{{name}}": {
            "patch": {
                "parameters": parameters,
                "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": kind},
            }
        }
        for kind, plural in RESOURCES[roots[root]].items()
    }
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.0"}, "paths": paths}


@contextmanager
def api_server(store: Store) -> Iterator[str]:
    """Serve a store on a free port of this machine; the server's URL."""
    handler = type("StoreHandler", (Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="kubernetes", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Cluster:
    """Helm, and the objects that it has made."""

    config: helm.Config
    store: Store

    def install(self, chart: Path, values: Mapping[str, Any] | None = None) -> Rendered:
        """`helm install`; the objects there are afterwards."""
        done = self.config.install(chart, RELEASE, dict(values or {}), namespace=NAMESPACE)
        return Rendered(list(self.store.objects.values()), str(done))

    def upgrade(self, chart: Path, values: Mapping[str, Any]) -> None:
        """`helm upgrade`."""
        self.config.upgrade(chart, RELEASE, dict(values), namespace=NAMESPACE)

    def put(self, plural: str, name: str, **members: Any) -> None:
        """An object that somebody else makes."""
        version = next(version for version, kinds in RESOURCES.items() if plural in kinds.values())
        kind = next(kind for kind, each in RESOURCES[version].items() if each == plural)
        metadata = {"name": name, "namespace": NAMESPACE}
        made = {"apiVersion": version, "kind": kind, "metadata": metadata, **members}
        self.store.put(f"{version}/{NAMESPACE}/{plural}", made)

    def secret(self, name: str) -> dict[str, str]:
        """A copy of a Secret's data."""
        return dict(self.store.objects[f"v1/{NAMESPACE}/secrets", name]["data"])

    def gateway(self) -> Object:
        """The gateway's Deployment."""
        return self.store.objects[f"apps/v1/{NAMESPACE}/deployments", "tidings-gateway"]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster without anything in it."""
    store = Store()
    with api_server(store) as server:
        reference = {"cluster": "test", "user": "test", "namespace": NAMESPACE}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "contexts": [{"name": "test", "context": reference}],
            "users": [{"name": "test", "user": {}}],
        }
        # Helm's own records stay in its memory: it would send them as protobuf.
        with helm.Config(
            kubeconfig_content=json.dumps(kubeconfig), namespace=NAMESPACE, storage_driver="memory"
        ) as config:
            yield Cluster(config, store)
