"""Traces: what happened to a sampled change, told to a collector over OTLP. Only this room knows OpenTelemetry."""
