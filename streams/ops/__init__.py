"""For those who watch: lag one can trust, metrics, and the dashboard."""
