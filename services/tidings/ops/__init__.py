"""What every service carries: settings, logs, metrics, health, listeners, life cycle."""
