"""Vectors on the wire: base64 of little-endian float16 or float32, or a plain list of numbers."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, RootModel, field_validator

from schemas.base import Frozen

MAX_DIMENSIONS = 8192
Dtype = Literal["float16", "float32"]
_LITTLE_ENDIAN: dict[Dtype, np.dtype[np.floating]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


class PackedVector(Frozen):
    """A vector as base64 of its little-endian bytes; half the size of numbers in JSON at float16."""

    dtype: Dtype = "float16"
    base64: str = Field(max_length=MAX_DIMENSIONS * 6)

    @field_validator("base64")
    @classmethod
    def _is_base64(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not base64: {error}") from error
        return value

    def to_numpy(self) -> NDArray[np.float32]:
        """Return the vector, float32 (d,)."""
        data = base64.b64decode(self.base64)
        kind = _LITTLE_ENDIAN[self.dtype]
        if len(data) % kind.itemsize:
            raise ValueError(f"{len(data)} bytes are no whole number of {self.dtype}")
        return np.frombuffer(data, kind).astype(np.float32)


class Vector(RootModel[PackedVector | tuple[float, ...]]):
    """An embedding; `Vector.pack` writes one and `to_numpy` reads it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    @classmethod
    def pack(cls, values: NDArray[np.floating], dtype: Dtype = "float32") -> Vector:
        """Return the base64 form of `values` (d,), rounded to `dtype`."""
        data = np.ascontiguousarray(values, _LITTLE_ENDIAN[dtype]).tobytes()
        return cls(PackedVector(dtype=dtype, base64=base64.b64encode(data).decode("ascii")))

    @field_validator("root")
    @classmethod
    def _is_finite(cls, value: PackedVector | tuple[float, ...]) -> PackedVector | tuple[float, ...]:
        # What float32 cannot hold becomes infinite here and is refused below: no cause for a warning.
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = value.to_numpy() if isinstance(value, PackedVector) else np.asarray(value, np.float32)
        if not 0 < numbers.size <= MAX_DIMENSIONS:
            raise ValueError(f"a vector has 1 to {MAX_DIMENSIONS} numbers, this one has {numbers.size}")
        if not np.isfinite(numbers).all():
            raise ValueError("a vector's numbers must be finite (no NaN, no infinity at float32)")
        return value

    def to_numpy(self) -> NDArray[np.float32]:
        """Return the vector, float32 (d,)."""
        if isinstance(self.root, PackedVector):
            return self.root.to_numpy()
        return np.asarray(self.root, np.float32)
