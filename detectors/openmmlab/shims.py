"""Everything that makes OpenMMLab's last releases run beside today's PyTorch, each with its reason and its end.

mmdet 3.3.0 and mmpretrain 1.2.0 are of January 2024, mmcv 2.1.0 of October 2023, mmpose 1.3.2 of July 2024.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from mocap_video.optional import import_torchvision, require

EXTRA = "openmmlab"


@cache
def load_openmmlab() -> None:
    """Import mmdet and mmpose with their models registered; ``MissingExtra`` says which package is not there."""
    require("mmcv", EXTRA)
    _stand_in_for_compiled_mmcv()
    import_torchvision()
    require("torchvision", EXTRA)
    _stand_in_for_xtcocotools()
    _quiet_old_calls()
    _leave_out_multimodal_mmpretrain()
    for package in ("mmdet", "mmpretrain", "mmpose"):
        require(f"{package}.models", EXTRA)


def _stand_in_for_compiled_mmcv() -> None:
    """In mmcv-lite there is no ``mmcv._ext``, which mmdet imports; to build mmcv takes a compiler and ten minutes.

    Of its operators inference here needs ``nms`` alone. Needless where compiled mmcv is installed, and once OpenMMLab
    publishes mmcv wheels for the PyTorch in use.
    """
    if importlib.util.find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = _CompiledOperators()


class _CompiledOperators(types.ModuleType):
    """``nms`` in torch; every other operator raises when it is called."""

    def __init__(self) -> None:
        super().__init__("mmcv._ext")
        self.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
        self.nms = nms

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*_: object, **__: object) -> None:
            raise NotImplementedError(f"mmcv operator {name}: only compiled mmcv has it, mmcv-lite does not.")

        return absent


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int = 0) -> torch.Tensor:
    """Return the indices of ``boxes (N,4)`` xyxy that remain, best first, when no two overlap by more.

    Overlap is intersection over union with ``offset`` added to every side, as in mmcv.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].cpu()
    area = (ranked[:, 2:] - ranked[:, :2] + offset).prod(-1)
    alive = torch.ones(len(ranked), dtype=torch.bool)
    for i in range(len(ranked)):
        if alive[i]:
            low = torch.maximum(ranked[i, :2], ranked[i + 1 :, :2])
            high = torch.minimum(ranked[i, 2:], ranked[i + 1 :, 2:])
            common = (high - low + offset).clamp_min(0).prod(-1)
            alive[i + 1 :] &= common / (area[i] + area[i + 1 :] - common) <= iou_threshold
    return order[alive.to(order.device)]


def _stand_in_for_xtcocotools() -> None:
    """The data sets of mmpose import xtcocotools, whose last wheel, 1.14.3, is built for numpy 1.

    pycocotools has every name that the import asks for. Needless once mmpose depends on pycocotools, or xtcocotools has
    a wheel for numpy 2.
    """
    if importlib.util.find_spec("xtcocotools") is None:
        for part in ("", ".coco", ".cocoeval", ".mask"):
            sys.modules[f"xtcocotools{part}"] = require(f"pycocotools{part}", EXTRA)


def _leave_out_multimodal_mmpretrain() -> None:
    """Where transformers is installed, mmpretrain 1.2.0 imports its language models, and asks transformers 5 for names
    that are gone. ViTPose needs the image backbones alone.

    Needless with a release of mmpretrain that knows transformers 5.
    """
    vars(require("mmpretrain.utils.dependency", EXTRA))["WITH_MULTIMODAL"] = False


def _quiet_old_calls() -> None:
    """PyTorch warns at every run of how mmdet 3.3.0 calls ``torch.cuda.amp.autocast`` and ``torch.meshgrid``.

    Needless with a release of mmdet after 3.3.0 that does not.
    """
    warnings.filterwarnings("ignore", r"`torch\.cuda\.amp\.autocast", FutureWarning, r"mmdet\.")
    warnings.filterwarnings("ignore", r"torch\.meshgrid", UserWarning)
