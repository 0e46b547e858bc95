"""The sentence encoder: built from safetensors, quantised by rows, run in buckets of equal length."""

from models.encoder.encoder import DEFAULT_BATCH_SIZE, Encoded, Encoder
from models.encoder.store import ensure_built
from models.encoder.tokens import Tokens

__all__ = ["DEFAULT_BATCH_SIZE", "Encoded", "Encoder", "Tokens", "ensure_built"]
