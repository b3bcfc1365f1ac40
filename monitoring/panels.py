"""Panels and dashboards of one look, by Grafana's own builders."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import prometheus, stat, text
from grafana_foundation_sdk.builders import timeseries as timeseries_builders
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Threshold,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

from monitoring.alert import RUNBOOKS
from monitoring.promql import Query

SOURCE = DataSourceRef("prometheus", "${datasource}")
TAG = "tidings"
HEIGHT = 7
THIRD, HALF, WHOLE = 8, 12, 24


def series(
    title: str, description: str, unit: str, *queries: Query, width: int = THIRD, stacked: bool = False
) -> timeseries_builders.Panel:
    """Lines over time."""
    panel = (
        timeseries_builders.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(width)
        .height(HEIGHT)
        .line_width(1)
        .fill_opacity(25 if stacked else 5)
        .show_points(VisibilityMode.NEVER)
        .tooltip(common_builders.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(StackingMode.NORMAL))
    for number, query in enumerate(queries):
        panel.with_target(_target(query, number))
    return panel


def number(
    title: str, description: str, unit: str, query: Query, *, bad_above: float | None = None, width: int = 4
) -> stat.Panel:
    """One value, red above what is bad."""
    steps = [Threshold(None, "green")]
    if bad_above is not None:
        steps.append(Threshold(bad_above, "red"))
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .thresholds(ThresholdsConfig().steps(steps))
        .with_target(_target(query, 0))
    )


def heat(title: str, description: str, unit: str, query: Query, *, width: int = HALF) -> heatmaps.Panel:
    """A histogram over time."""
    target = _target(query, 0).format(PromQueryFormat.HEATMAP)
    return (
        heatmaps.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT)
        .calculate(False)
        .y_axis(heatmaps.YAxisConfig().unit(unit))
        .with_target(target)
    )


def note(title: str, markdown: str, *, width: int, height: int) -> text.Panel:
    """Words."""
    return text.Panel().title(title).mode(TextMode.MARKDOWN).content(markdown).span(width).height(height)


def page(uid: str, title: str, description: str, variables: Sequence[QueryVariable]) -> Dashboard:
    """An empty dashboard that shows what its variables choose, and leads to the others."""
    dashboard = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            DashboardLink("Tidings").type(DashboardLinkType.DASHBOARDS).tags([TAG]).keep_time(True).include_vars(True)
        )
        .link(DashboardLink("Runbooks").type(DashboardLinkType.LINK).url(RUNBOOKS).target_blank(True))
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        dashboard.with_variable(variable)
    return dashboard


def choice(name: str, label: str, values: str, everything: str = "") -> QueryVariable:
    """A variable that may have several values; at first all of them, or what `everything` matches."""
    variable = (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": values, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
    )
    return variable.all_value(everything) if everything else variable


def _target(query: Query, number: int) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + number)).range()
