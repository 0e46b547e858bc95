"""Settings and logs as every command begins with them; no model is loaded for it."""

from __future__ import annotations

from pathlib import Path

from streams.logs import configure
from streams.settings import Settings, read_settings


def load_settings(memory: Path | None = None) -> Settings:
    """Return the settings, with what the command line said on top, and set logging up; raises SettingsError."""
    settings = read_settings(memory)
    configure(settings.log_level, settings.log_format)
    return settings
