"""The pages' sources in ``pages/``: plain modules, joined into one script that works from file:// as from a server."""

from __future__ import annotations

import functools
import re
from importlib import resources

_VIEWER = ("dom", "data", "clock", "body3d", "scene3d", "timeline", "panels", "viewer")
MODULES = {
    "static": (*_VIEWER, "static"),
    "review": (*_VIEWER, "api", "filters", "rows", "verdict", "player", "review"),
}
"""The modules of each page, every one after those that it imports."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|async|class)", re.MULTILINE)


@functools.cache
def page_file(name: str) -> str:
    """Return the text of pages/``name``."""
    return resources.files("mocap_video.pipeline").joinpath("pages", *name.split("/")).read_text(encoding="utf-8")


def style() -> str:
    """Return the pages' style sheet."""
    return page_file("style.css")


@functools.cache
def script(page: str) -> str:
    """Return the modules of ``page`` (static or review) as one script: imports go, what was exported is in scope."""
    joined = [_EXPORT.sub("", _IMPORT.sub("", page_file(f"{name}.js"))) for name in MODULES[page]]
    return '"use strict";\n' + "\n".join(joined)
