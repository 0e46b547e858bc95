"""Replays of a log or a time range: started, watched and compared."""
