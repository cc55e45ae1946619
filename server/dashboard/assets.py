"""Scripts of pages: plotly's own from its installed package, named by a hash so that a browser keeps it."""

from __future__ import annotations

import gzip
import hashlib
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Response, abort, current_app, request, url_for

from server.access import allow
from server.dashboard.routes import routes

FOREVER = "public, max-age=31536000, immutable"
_packing = threading.Lock()


@routes.app_template_global("asset")
def asset(name: str) -> str:
    """Return the address of a file of ours, which changes with its content."""
    folder = Path(current_app.static_folder or "")
    stamp = (folder / name).stat().st_mtime_ns
    return url_for("static", filename=name, v=_digest(folder / name, stamp))


@routes.app_template_global("plotly_script")
def plotly_script() -> str:
    """Return the address of plotly's script; empty where plotly is not installed, and figures are tables only."""
    path = _plotly()
    return "" if path is None else url_for("dashboard.plotly", v=_digest(path, path.stat().st_mtime_ns))


@routes.get("/static/plotly.min.js")
@allow("anyone")
def plotly() -> Response:
    """Give plotly's script, packed where the browser can unpack it."""
    path = _plotly()
    if path is None:
        abort(404)
    stamp = path.stat().st_mtime_ns
    tag = _digest(path, stamp)
    lasting = FOREVER if request.args.get("v") == tag else "no-cache"
    headers = {"Cache-Control": lasting, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
    if request.if_none_match.contains(tag):
        return Response(status=304, headers=headers)
    packs = request.accept_encodings.quality("gzip") > 0
    if packs:
        headers["Content-Encoding"] = "gzip"
    with _packing:  # packed once, by whoever asks first
        body = _packed(path, stamp) if packs else path.read_bytes()
    return Response(body, mimetype="text/javascript", headers=headers)


def _plotly() -> Path | None:
    """Return where plotly's script is; plotly itself is not imported."""
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return path if path.exists() else None


@cache
def _digest(path: Path, stamp: int) -> str:
    del stamp  # a file that was changed is read again
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _packed(path: Path, stamp: int) -> bytes:
    del stamp
    return gzip.compress(path.read_bytes(), 6, mtime=0)
