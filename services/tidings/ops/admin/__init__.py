"""The admin and the probe listeners, and the dashboard."""
