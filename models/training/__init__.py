"""Training and export of everything in models/artifacts: `python -m models.training`."""
