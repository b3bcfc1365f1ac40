"""Where traces go, for every service that takes part in them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from tidings.ops.settings.common import OpsSettings
from tidings.ops.settings.fields import HelpGroup
from tidings.ops.settings.urls import CollectorUrl


class TracingSettings(OpsSettings):
    """Where traces go."""

    help_group: ClassVar = HelpGroup(7, "Traces")

    tracing_endpoint: CollectorUrl | None = Field(
        None,
        description="collector that receives spans by the OpenTelemetry protocol (OTLP) over HTTP, "
        "such as http://collector:4318",
    )
