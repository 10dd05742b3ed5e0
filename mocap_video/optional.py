"""Imports that may be absent: the one place that turns an ImportError into advice."""

from __future__ import annotations

import importlib
from types import ModuleType

from mocap_video.errors import MissingExtra


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` or raise ``MissingExtra`` that names the ``extra`` to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} cannot be imported ({error}). Install it with: pip install 'mocap-video[{extra}]'"
        ) from error
