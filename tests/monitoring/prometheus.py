"""A Prometheus of the test's own, which scrapes what it is told and loads the rules that are shipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.monitoring.promtool import RULES
from tests.support.ports import free_ports
from tests.support.waiting import eventually, patient

SECONDS = 30.0


class Prometheus:
    """Answers queries."""

    def __init__(self, port: int) -> None:
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=patient(SECONDS))

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **parameters: str) -> Any:
        """What it answers; fails for a query that is wrong."""
        response = self._client.get(path, params=parameters)
        if response.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            # It is starting, and says so in plain text.
            response.raise_for_status()
        answer = response.json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        found = self.get("/query", query=expr)["result"]
        assert isinstance(found, list)
        return found

    async def scraped(self, targets: int) -> None:
        """Wait until all targets have been scraped several times."""

        def done() -> bool:
            try:
                return len(self.query("count_over_time(up[1m]) > 3 and up == 1")) == targets
            except httpx2.HTTPError:
                return False

        await eventually(done, SECONDS)


@contextmanager
def prometheus(directory: Path, targets: Mapping[str, int]) -> Iterator[Prometheus]:
    """One that scrapes these ports of 127.0.0.1 every second, by job."""
    executable = shutil.which("prometheus")
    assert executable, "Prometheus is needed: install it with `apt-get install prometheus`"
    (port,) = free_ports(1)
    config = directory / "prometheus.yaml"
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"], "labels": {"namespace": "mail"}}]}
        for job, target in targets.items()
    ]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(yaml.safe_dump({"global": every, "rule_files": [str(RULES)], "scrape_configs": jobs}))
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", executable, f"--config.file={config}"),
                *(f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    running = Prometheus(port)
    try:
        yield running
    finally:
        running.close()
        process.terminate()
        process.wait()
