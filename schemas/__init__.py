"""The language: frozen events and rows, and the names of topics."""

from __future__ import annotations

import warnings

# The wire calls a voice `register`; pydantic warns because every abstract base class has a classmethod of that name.
warnings.filterwarnings("ignore", message='Field name "register" in', category=UserWarning)
