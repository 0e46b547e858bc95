"""The page's files: read once, named by their content, kept by browsers for good, and compressed beforehand."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from streams.replay.report.page import plotly_js

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PLOTLY = "plotly.min.js"
_PLACE = b"{{assets}}"
PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    content_type: str
    body: bytes
    packed: bytes


@dataclass(frozen=True, slots=True)
class Assets:
    """All files, and the digest that stands in their address: another version has other addresses."""

    digest: str
    files: dict[str, Asset]
    page: bytes


@cache
def load_assets() -> Assets:
    """Return the page's files, with plotly.js from its own package among them."""
    folder = files("streams.ops.dashboard") / "static"
    found = {one.name: one.read_bytes() for one in folder.iterdir() if PurePosixPath(one.name).suffix in _TYPES}
    page = found.pop(PAGE)
    found[_PLOTLY] = plotly_js().encode()
    digest = hashlib.sha256(b"".join(name.encode() + body for name, body in sorted(found.items()))).hexdigest()[:16]
    packed = {
        name: Asset(_TYPES[PurePosixPath(name).suffix], body, gzip.compress(body, 6, mtime=0))
        for name, body in found.items()
    }
    return Assets(digest, packed, page.replace(_PLACE, f"/assets/{digest}".encode()))
