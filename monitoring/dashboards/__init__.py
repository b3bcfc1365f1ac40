"""One module per dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import QueryVariable

from monitoring.panels import choice
from monitoring.promql import NAMESPACE

ALL_NAMESPACES = "label_values(tidings_build_info, namespace)"


def namespaces(values: str = ALL_NAMESPACES) -> QueryVariable:
    """The variable that chooses installations; those without a namespace too."""
    return choice("namespace", "Namespace", values, everything=".*")


def instances(command: str) -> QueryVariable:
    """The variable that chooses among the processes of a command."""
    values = f'label_values(tidings_build_info{{{NAMESPACE},command=~"{command}|up"}}, instance)'
    return choice("instance", "Instance", values)
