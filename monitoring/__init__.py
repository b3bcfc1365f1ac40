"""What operators look at and are woken by: Grafana dashboards and Prometheus alerts, written by `make dashboards`."""
