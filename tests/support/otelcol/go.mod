module tidings.invalid/otelcol
