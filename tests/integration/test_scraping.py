"""The scrape configurations of docs/profile.md: what they make Parca and Alloy ask a service for, asked.

What these programs make of a configuration is written down here from their sources: `pkg/config` and `pkg/scrape` of
Parca, `internal/component/pyroscope/scrape` of Alloy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.support.pprof import decompressed
from tests.support.processes import Tidings, tidings
from tests.support.waiting import patient

DEADLINE = 60.0
TOKEN = "a token for scrapers"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "profile.md"
PATHS = {"process_cpu": "profile", "memory": "allocs", "goroutine": "goroutine", "block": "block", "mutex": "mutex"}
"""What both scrape unless told otherwise."""
TYPES = {
    "process_cpu": [("samples", "count"), ("cpu", "nanoseconds")],
    "goroutine": [("goroutine", "count")],
    "block": [("contentions", "count"), ("delay", "nanoseconds")],
}


@dataclass(frozen=True)
class Scrape:
    profile: str
    path: str
    seconds: int | None


def example(language: str, begins: str) -> str:
    """The block of the document that is the whole configuration of one program."""
    section = DOCUMENT.read_text().split("## Continuous profiling\n")[1].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n({begins}.*?)```", section, re.DOTALL)
    assert isinstance(found, str)
    return found


def seconds_of(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def parca(config: dict[str, Any]) -> Iterator[Scrape]:
    """What a configuration makes Parca ask each target for. Unknown fields are refused, as there."""
    assert config.keys() == {"object_storage", "scrape_configs"}
    for job in config["scrape_configs"]:
        assert job.keys() <= {
            "job_name",
            "scrape_interval",
            "params",
            "authorization",
            "kubernetes_sd_configs",
            "relabel_configs",
            "profiling_config",
        }
        assert job["authorization"].keys() == {"credentials_file"}
        for rule in job["relabel_configs"]:
            assert rule.keys() <= {"source_labels", "regex", "action", "target_label"}
        assert job["profiling_config"].keys() == {"pprof_config"}
        profiles = job["profiling_config"]["pprof_config"]
        for profile in PATHS.keys() | profiles.keys():
            asked = profiles.get(profile, {"enabled": True, "delta": profile == "process_cpu"})
            assert asked.keys() <= {"enabled", "path", "delta", "keep_sample_type"}
            if not asked.get("enabled", True):
                continue
            (seconds,) = job.get("params", {}).get("seconds", [None])
            if asked.get("delta"):
                # It would add a second value to the parameters of all that follow.
                assert seconds is None
                seconds = seconds_of(job["scrape_interval"])
            path = asked.get("path", f"/debug/pprof/{PATHS[profile]}")
            yield Scrape(profile, path, None if seconds is None else int(seconds))


def alloy(config: str) -> Iterator[Scrape]:
    """What a configuration makes Alloy ask each target for."""
    assert config.count("{") == config.count("}")
    assert re.findall(r'^([\w.]+) "tidings" \{$', config, re.MULTILINE) == [
        "discovery.kubernetes",
        "discovery.relabel",
        "pyroscope.scrape",
        "pyroscope.write",
    ]
    (scrape,) = re.findall(r'^pyroscope\.scrape "tidings" \{\n(.*?)^\}$', config, re.DOTALL | re.MULTILINE)
    top = dict(re.findall(r"^  (\w+) += (.*)$", scrape, re.MULTILINE))
    assert top.keys() == {"targets", "forward_to", "scrape_interval", "delta_profiling_duration", "bearer_token_file"}
    taken, interval = (seconds_of(top[name].strip('"')) for name in ("delta_profiling_duration", "scrape_interval"))
    assert 1 < taken < interval
    off = re.findall(r"profile\.(\w+) \{\s+enabled = false\s+\}", scrape)
    assert set(off) < set(PATHS)
    assert scrape.count("profile.") == len(off)
    for profile in PATHS.keys() - set(off):
        yield Scrape(profile, f"/debug/pprof/{PATHS[profile]}", taken if profile == "process_cpu" else None)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Tidings]:
    flags = ("--maildir", str(tmp_path / "mail"), "--state-dir", str(tmp_path / "state"))
    with tidings("up", *flags, "--admin-host", "0.0.0.0", env={"TIDINGS_ADMIN_TOKEN": TOKEN}) as process:
        yield process


def test_what_parca_asks_for(service: Tidings) -> None:
    scrapes = set(parca(yaml.safe_load(example("yaml", "object_storage"))))
    assert scrapes == {
        Scrape("process_cpu", "/debug/pprof/profile", 10),
        Scrape("goroutine", "/debug/pprof/goroutine", None),
        Scrape("block", "/debug/pprof/block", 15),
    }
    answered(service, scrapes)


def test_what_alloy_asks_for(service: Tidings) -> None:
    scrapes = set(alloy(example("alloy", "discovery")))
    assert scrapes == {
        Scrape("process_cpu", "/debug/pprof/profile", 10),
        Scrape("goroutine", "/debug/pprof/goroutine", None),
        Scrape("block", "/debug/pprof/block", None),
    }
    answered(service, scrapes)


def answered(service: Tidings, scrapes: set[Scrape]) -> None:
    """Ask for all at once, as a scraper does: by the pod's address, which only those with the token may name."""
    pod = {"Host": "10.1.2.3:9090"}
    with httpx2.Client(base_url=service.url("admin"), timeout=patient(DEADLINE), headers=pod) as client:
        assert client.get("/debug/pprof/goroutine").status_code == 400
        assert client.get("/debug/pprof/goroutine", headers={"Authorization": "Bearer another"}).status_code == 400

        def ask(scrape: Scrape) -> httpx2.Response:
            params = {} if scrape.seconds is None else {"seconds": scrape.seconds}
            return client.get(scrape.path, params=params, headers={"Authorization": f"Bearer {TOKEN}"})

        with ThreadPoolExecutor() as pool:
            answers = dict(zip(scrapes, pool.map(ask, scrapes), strict=True))
    for scrape, answer in answers.items():
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/octet-stream"
        profile = decompressed(answer.content)
        assert profile.types == TYPES[scrape.profile]
        # Parca takes a profile that has a duration for a difference.
        assert profile.duration >= (scrape.seconds or 0) * 1e9
        assert bool(profile.duration) == bool(scrape.seconds)
