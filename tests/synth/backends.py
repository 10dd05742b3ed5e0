"""The backends' own networks, small and of random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from mocap_video.detectors.base import FrontEnd
from mocap_video.detectors.boxes import BoxDetector, InputForm
from mocap_video.detectors.hf.tiny import tiny_dfine, tiny_rtdetr, tiny_vitpose
from mocap_video.detectors.runtime import Runtime
from mocap_video.detectors.topdown import TopDownEstimator
from synth.markers import MarkerBoxes, MarkerKeypoints

SIDE = 320
RTMDET_TINY = "rtmdet_tiny_8xb32-300e_coco"
VITPOSE_S = "td-hm_ViTPose-small_8xb64-210e_coco-256x192"


def random_rtmdet(threshold: float = 0.3) -> torch.nn.Module:
    """Return RTMDet-tiny as training begins it: sure of nothing."""
    pytest.importorskip("mmdet")
    from mocap_video.detectors.openmmlab.rtmdet import RTMDet

    torch.manual_seed(0)
    network = RTMDet(RTMDET_TINY, threshold)
    network.model.bbox_head.init_weights()
    return network


def random_vitpose() -> torch.nn.Module:
    pytest.importorskip("mmpose")
    from mocap_video.detectors.openmmlab.vitpose import ViTPose

    torch.manual_seed(0)
    return ViTPose(VITPOSE_S)


def random_hf_vitpose_model() -> torch.nn.Module:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    return tiny_vitpose()


def random_rtdetr_model() -> torch.nn.Module:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    return tiny_rtdetr()


def random_dfine_model() -> torch.nn.Module:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    return tiny_dfine()


def openmmlab_front_end(runtime: Runtime | None = None, *, flip_test: bool = False) -> FrontEnd:
    """Return RTMDet and ViTPose with random weights, and networks beside them that see markers."""
    from mocap_video.detectors.openmmlab.rtmdet import FORM

    return _front_end(random_rtmdet(), FORM, random_vitpose(), runtime or Runtime(), flip_test)


def hf_front_end(
    runtime: Runtime | None = None, *, flip_test: bool = False, detector: Callable[[], torch.nn.Module] | None = None
) -> FrontEnd:
    """Return RT-DETR, or another ``detector``, and ViTPose of transformers with random weights, and networks beside
    them that see markers.
    """
    from mocap_video.detectors.hf.detr import FORM, Detr
    from mocap_video.detectors.hf.vitpose import ViTPoseHF

    networks = Detr((detector or random_rtdetr_model)()), ViTPoseHF(random_hf_vitpose_model())
    return _front_end(networks[0], FORM, networks[1], runtime or Runtime(), flip_test)


def _front_end(
    detector: torch.nn.Module, form: InputForm, keypoints: torch.nn.Module, runtime: Runtime, flip_test: bool
) -> FrontEnd:
    small = dataclasses.replace(form, side=SIDE)
    return FrontEnd(
        name="markers",
        detector=BoxDetector(MarkerBoxes(detector, small), small, runtime, threshold=0.3),
        estimator=TopDownEstimator(MarkerKeypoints(keypoints), runtime, flip_test=flip_test),
        digests=(),
    )
