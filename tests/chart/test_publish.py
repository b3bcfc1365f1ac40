"""The charts as others get them: packaged, and pushed to and pulled from a registry."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import pytest

from tests.support.chart import RABBITMQ, TIDINGS, UMBRELLA, files, render
from tests.support.ports import free_ports
from tests.support.rendered import Rendered
from tests.support.waiting import patient

START_SECONDS = 30.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry of the test's own: its host and port."""
    directory = tmp_path_factory.mktemp("registry")
    (port,) = free_ports(1)
    configuration = directory / "config.yml"
    configuration.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {directory / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    command = ["setpriv", "--pdeathsig", "KILL", "docker-registry", "serve", str(configuration)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + patient(START_SECONDS)
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((directory / "log").read_text(), pytrace=False)
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("chart", [UMBRELLA, TIDINGS, RABBITMQ], ids=lambda chart: chart.name)
def test_a_chart_is_pushed_pulled_and_the_same(chart: Path, registry: str, tmp_path: Path) -> None:
    archive = Path(helm.package(chart, destination=tmp_path))
    name = archive.name.rpartition("-")[0]
    with helm.RegistryClient(plain_http=True, credentials_file=tmp_path / "credentials") as client:
        client.push(archive, f"oci://{registry}/charts", plain_http=True)
        assert client.tags(f"{registry}/charts/{name}") == ["0.1.0"]
        pulled = tmp_path / "pulled"
        pulled.mkdir()
        client.pull(f"oci://{registry}/charts/{name}", destination=pulled, version="0.1.0", plain_http=True)
    with helm.Chart.load(pulled / archive.name) as loaded:
        rendered = Rendered.of_files(files(loaded, {}))
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert names == [(each["kind"], each["metadata"]["name"]) for each in render(chart).objects]
