"""What takes spans over OTLP: a small server of the test's own, and OpenTelemetry's collector."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.cached import contents, keyed, made
from tests.support.ports import free_ports
from tests.support.waiting import comes_true, patient

BUILD_SECONDS: Final = 240.0
"""How long Go takes for the collector, the first time."""
SOURCES: Final = Path(__file__).parent / "otelcol"


@dataclass(frozen=True)
class Told:
    """A span as it came. Ids are hexadecimal, times Unix seconds; `parent` is empty of a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: str
    began: float
    ended: float
    attributes: dict[str, Any]
    status: dict[str, Any]


class Receiver:
    """Takes spans as protobuf or as JSON; `status` is what it answers, `headers` are those of the latest request."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.requests = 0
        self.headers: dict[str, str] = {}
        self.spans: list[Told] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Told]:
        return [span for span in self.spans if span.name == name]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        assert path == "/v1/traces"
        self.headers = headers
        self.requests += 1
        if self.status == 200:
            if headers["content-type"] == "application/json":
                self.spans += spans_of(json.loads(body), "")
            else:
                message = ExportTraceServiceRequest.FromString(body)
                self.spans += spans_of(MessageToDict(message), "base64")
        return self.status


def spans_of(document: dict[str, Any], encoding: str) -> Iterator[Told]:
    """The spans of a request: JSON as OTLP has it, or as protobuf's own mapping, where ids are in base64."""

    def identifier(value: str) -> str:
        return base64.b64decode(value).hex() if encoding else value

    for resource in document["resourceSpans"]:
        about = attributes_of(resource["resource"])
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                yield Told(
                    about["service.name"],
                    span["name"],
                    identifier(span["traceId"]),
                    identifier(span["spanId"]),
                    identifier(span.get("parentSpanId", "")),
                    str(span["kind"]),
                    int(span["startTimeUnixNano"]) / 1e9,
                    int(span["endTimeUnixNano"]) / 1e9,
                    attributes_of(span),
                    span.get("status", {}),
                )


def attributes_of(holder: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in holder.get("attributes", ())}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server that takes spans."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(taking.take(self.path, headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taking = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield taking
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _build(making: Path) -> None:
    go = shutil.which("go")
    assert go, "Go is needed: install it with `apt-get install golang-go`"
    command = [go, "build", "-trimpath", "-buildvcs=false", "-o", str(making), "."]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patient(BUILD_SECONDS), cwd=SOURCES, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def collector(directory: Path, receiver: Receiver) -> Iterator[str]:
    """OpenTelemetry's collector, which takes spans at the URL that is given and sends them on as JSON."""
    program = made(keyed("otelcol", "otelcol", *contents(SOURCES)), _build)
    (port,) = free_ports(1)
    configuration = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlphttp": {"endpoint": receiver.url, "encoding": "json", "compression": "none"}},
        "service": {
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlphttp"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    file = directory / "otelcol.yaml"
    file.write_text(json.dumps(configuration))
    said = directory / "otelcol.log"
    with said.open("wb") as log:
        process = subprocess.Popen([program, "--config", f"file:{file}"], stdout=log, stderr=log)
        try:
            ready = comes_true(lambda: b"Everything is ready" in said.read_bytes() or process.poll() is not None, 30)
            assert ready, said.read_text()
            assert process.poll() is None, said.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(patient(20))
