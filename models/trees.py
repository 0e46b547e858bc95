"""Boosted trees with their calibration behind them, as one ONNX graph: named numbers in, named numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.errors import ModelError
from models.sessions import LOAD_FAILURES, Runtime, open_session

# Rows are padded to a multiple, so that one row alone takes the same path through the trees as many do.
BLOCK_ROWS = 16
# What trees say is rounded to this, so that what is stored is what was judged.
DECIMALS = 6


class TreeModel:
    """A graph `features` (n, f) float32 -> one (n,) float32 for each of its outputs, on one CPU thread.

    `metadata` holds what training wrote beside the graph, as text.
    """

    def __init__(self, path: Path, runtime: Runtime, features: Sequence[str], outputs: Sequence[str]) -> None:
        self._session = open_session(path, runtime.small())
        self._outputs = list(outputs)
        try:
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
            told = self.metadata.get("features", "")
            found = [entry.name for entry in self._session.get_outputs()]
        except LOAD_FAILURES as failure:
            raise ModelError(f"{path} cannot be read: {failure}. Restore it, or run `make models`.") from failure
        if told != " ".join(features) or found != self._outputs:
            raise ModelError(
                f"{path} is not the model this version asks for: it was trained on other features or gives other "
                "outputs. Restore it from the project's release, or run `make models`."
            )

    def run(self, features: FloatArray) -> tuple[FloatArray, ...]:
        """Score rows (n, f): (n,) float32 for each output; a row's bits do not depend on the rows beside it."""
        count = len(features)
        padded = np.pad(features, ((0, max(BLOCK_ROWS, count + -count % BLOCK_ROWS) - count), (0, 0)))
        results = self._session.run(self._outputs, {"features": padded})
        return tuple(np.round(result[:count], DECIMALS) for result in results)
