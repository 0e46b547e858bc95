"""Training and export of everything in models/artifacts: `python -m models.training`."""

from __future__ import annotations

import os

# Sums over several threads come out in another order on another machine; numpy must not be loaded before this is said.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
