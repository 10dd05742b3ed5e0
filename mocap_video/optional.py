"""Imports that may be absent: the one place that turns an ImportError into advice."""

from __future__ import annotations

import importlib
import importlib.util
import sys
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


def import_torchvision() -> None:
    """Import torchvision, where it is installed, so that whoever imports it next finds it; mmengine and mmpose do.

    PyPI's torchvision is built for CUDA and cannot load its operators over a CPU build of torch: its import dies of
    'operator torchvision::nms does not exist'. Declaring the two operators is enough. Needless where torchvision comes
    from the same index as torch.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    importlib.import_module("torchvision")
