"""Dashboards that Grafana can show: read back by its own types, laid out without overlaps, every panel explained."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.monitoring.queries import dashboards, panels

DASHBOARDS = dashboards()
WIDTH = 24
pytestmark = pytest.mark.parametrize("name", DASHBOARDS)


def all_panels(name: str) -> list[dict[str, Any]]:
    found = DASHBOARDS[name]["panels"]
    assert isinstance(found, list)
    return found


def test_grafanas_own_types_read_it_and_write_it_back(name: str) -> None:
    register_default_plugins()
    read = Dashboard.from_json(DASHBOARDS[name])
    assert json_of(read) == DASHBOARDS[name]


def json_of(dashboard: Dashboard) -> Any:
    return json.loads(json.dumps(dashboard, cls=JSONEncoder))


def test_names_and_numbers_are_unique(name: str) -> None:
    ids = [panel["id"] for panel in all_panels(name)]
    assert len(set(ids)) == len(ids)
    assert DASHBOARDS[name]["uid"] == name
    titles = [dashboard["title"] for dashboard in DASHBOARDS.values()]
    assert len(set(titles)) == len(titles)


def test_no_panel_covers_another_or_leaves_the_page(name: str) -> None:
    places = [panel["gridPos"] for panel in all_panels(name)]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= WIDTH
    for one, two in combinations(places, 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"], (one, two)


def test_every_panel_says_what_it_shows_from_the_chosen_source(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        assert all(target["legendFormat"] for target in panel["targets"])
