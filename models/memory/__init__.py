"""The memory base: what was said in like contexts, as a frozen snapshot on disk."""

from models.memory.base import HITS, Hits, MemoryBase
from models.memory.build import MemoryEntries, build_memory
from models.memory.layout import dialogue_key

__all__ = ["HITS", "Hits", "MemoryBase", "MemoryEntries", "build_memory", "dialogue_key"]
