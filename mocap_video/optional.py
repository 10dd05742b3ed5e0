"""Imports that may be absent: the one place that turns an ImportError into advice."""

from __future__ import annotations

import importlib
from types import ModuleType

from mocap_video.errors import MissingExtra

_AFTER_EXTRA = {"openmmlab": "pip install --no-deps mmpose==1.3.2"}
"""mmpose asks for chumpy and xtcocotools, which cannot be installed beside numpy 2 and are not needed to run it."""


def install_command(extra: str) -> str:
    """Return the command line that installs ``extra``."""
    command = f"pip install 'mocap-video[{extra}]'"
    return f"{command} && {_AFTER_EXTRA[extra]}" if extra in _AFTER_EXTRA else command


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` or raise ``MissingExtra`` that names the ``extra`` to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} cannot be imported ({error}). Install it with: {install_command(extra)}"
        ) from error
