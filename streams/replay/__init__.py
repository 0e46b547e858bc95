"""Replay: logs in, a run's directory out."""
