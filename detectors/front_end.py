"""Which detector and which keypoint network a config may name, and building them. Heavy packages load only then."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from typing import Literal

from mocap_video.detectors.assets import POSE_DETECTION, POSE_LANDMARK_HEAVY, read_model
from mocap_video.detectors.base import FrontEnd, KeypointEstimator, PersonDetector
from mocap_video.detectors.runtime import Precision, Runtime
from mocap_video.detectors.weights import weights_named
from mocap_video.errors import ConfigError
from mocap_video.kept import keepable


@dataclass(frozen=True)
class BlazePoseDetection:
    """BlazePose's own detector, shipped. ``threads`` of the CPU, None: OMP_NUM_THREADS, or all cores; ``score``: the
    least reported.
    """

    type: Literal["blazepose"] = "blazepose"
    threads: int | None = None
    score: float = 0.4

    def __post_init__(self) -> None:
        _check_threads(self.threads)
        _check_score(self.score)


@dataclass(frozen=True)
class RTMDetDetection:
    """RTMDet of mmdet. ``weights``: rtmdet-tiny, -m or -l; ``score``: the least reported."""

    type: Literal["rtmdet"] = "rtmdet"
    weights: str = "rtmdet-m"
    score: float = 0.3
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        _check_weights(self.weights, ("rtmdet-",), "")
        _check_score(self.score)


@dataclass(frozen=True)
class DetrDetection:
    """RT-DETR or D-FINE of transformers. ``weights``: rtdetr-r18-hf, rtdetr-r50-hf, dfine-n-hf or dfine-s-hf;
    ``score``: the least reported.
    """

    type: Literal["detr"] = "detr"
    weights: str = "rtdetr-r50-hf"
    score: float = 0.4
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        _check_weights(self.weights, ("rtdetr-", "dfine-"), "-hf")
        _check_score(self.score)


@dataclass(frozen=True)
class BlazePoseKeypoints:
    """BlazePose's heavy landmark network, shipped. ``threads`` of the CPU, None: OMP_NUM_THREADS, or all cores."""

    type: Literal["blazepose"] = "blazepose"
    threads: int | None = None

    def __post_init__(self) -> None:
        _check_threads(self.threads)


@dataclass(frozen=True)
class ViTPoseKeypoints:
    """ViTPose of mmpose. ``weights``: vitpose-s, -b, -l or -h; ``flip_test`` averages with the mirrored crop, at twice
    the cost; ``batch`` crops go through the network at a time.
    """

    type: Literal["vitpose"] = "vitpose"
    weights: str = "vitpose-b"
    precision: Precision = "fp32"
    flip_test: bool = False
    batch: int = 16

    def __post_init__(self) -> None:
        _check_weights(self.weights, ("vitpose-",), "")
        _check_batch(self.batch)


@dataclass(frozen=True)
class ViTPoseHFKeypoints:
    """ViTPose of transformers: as ``ViTPoseKeypoints``, with ``weights`` vitpose-b-hf."""

    type: Literal["vitpose-hf"] = "vitpose-hf"
    weights: str = "vitpose-b-hf"
    precision: Precision = "fp32"
    flip_test: bool = False
    batch: int = 16

    def __post_init__(self) -> None:
        _check_weights(self.weights, ("vitpose-",), "-hf")
        _check_batch(self.batch)


Detection = BlazePoseDetection | RTMDetDetection | DetrDetection
Keypoints = BlazePoseKeypoints | ViTPoseKeypoints | ViTPoseHFKeypoints


@dataclass(frozen=True)
class FrontEndConfig:
    """What finds people and what finds their keypoints; any of the one goes with any of the other."""

    detector: Detection = field(default_factory=BlazePoseDetection)
    keypoints: Keypoints = field(default_factory=BlazePoseKeypoints)


@keepable
def build_front_end(config: FrontEndConfig | None = None, device: str = "cpu") -> FrontEnd:
    """Return the front end of ``config`` on ``device``, cpu or cuda; BlazePose runs on the CPU anyway.

    Raises ``MissingExtra`` without a package that it needs, ``MissingAsset`` without its weights, and ``ArtifactError``
    when a file is not what it should be.
    """
    config = config or FrontEndConfig()
    detector, detector_digests = _build_detector(config.detector, device)
    estimator, keypoint_digests = _build_estimator(config.keypoints, device)
    on_device = {config.detector.type, config.keypoints.type} != {"blazepose"}
    return FrontEnd(
        name=" + ".join(dict.fromkeys([_label(config.detector), _label(config.keypoints)])),
        detector=detector,
        estimator=estimator,
        digests=detector_digests + keypoint_digests,
        device=device if on_device else "cpu",
    )


def missing_parts(config: FrontEndConfig) -> list[str]:
    """Return what ``config`` needs and this machine lacks, packages and weights, without importing or reading any."""
    packages = {
        RTMDetDetection: ("mmcv", "mmdet"),
        ViTPoseKeypoints: ("mmcv", "mmdet", "mmpretrain", "mmpose"),
        DetrDetection: ("transformers",),
        ViTPoseHFKeypoints: ("transformers",),
    }
    parts = (config.detector, config.keypoints)
    needed = dict.fromkeys(package for part in parts for package in packages.get(type(part), ()))
    lacking = [f"package {name}" for name in needed if importlib.util.find_spec(name) is None]
    named = [part.weights for part in parts if not isinstance(part, BlazePoseDetection | BlazePoseKeypoints)]
    return lacking + [f"weights {name}" for name in named if weights_named(name).missing()]


def _build_detector(part: Detection, device: str) -> tuple[PersonDetector, tuple[str, ...]]:
    if isinstance(part, BlazePoseDetection):
        from mocap_video.detectors.embedded import BlazePoseDetector, LiteRTNetwork

        network = LiteRTNetwork(read_model(POSE_DETECTION), part.threads or _usable_threads())
        return BlazePoseDetector(network, part.score), (POSE_DETECTION.sha256,)
    from mocap_video.detectors.boxes import BoxDetector

    runtime = Runtime(device, part.precision)
    if isinstance(part, RTMDetDetection):
        from mocap_video.detectors.openmmlab import rtmdet

        rtm, digests = rtmdet.load_rtmdet(part.weights, part.score)
        return BoxDetector(rtm, rtmdet.FORM, runtime, part.score), digests
    from mocap_video.detectors.hf import detr

    model, digests = detr.load_detr(part.weights)
    return BoxDetector(model, detr.FORM, runtime, part.score), digests


def _build_estimator(part: Keypoints, device: str) -> tuple[KeypointEstimator, tuple[str, ...]]:
    if isinstance(part, BlazePoseKeypoints):
        from mocap_video.detectors.embedded import BlazePoseEstimator, LiteRTNetwork

        landmarks = LiteRTNetwork(read_model(POSE_LANDMARK_HEAVY), part.threads or _usable_threads())
        return BlazePoseEstimator(landmarks), (POSE_LANDMARK_HEAVY.sha256,)
    from mocap_video.detectors.topdown import TopDownEstimator

    if isinstance(part, ViTPoseKeypoints):
        from mocap_video.detectors.openmmlab.vitpose import load_vitpose
    else:
        from mocap_video.detectors.hf.vitpose import load_vitpose
    network, digests = load_vitpose(part.weights)
    runtime = Runtime(device, part.precision)
    return TopDownEstimator(network, runtime, flip_test=part.flip_test, batch=part.batch), digests


def _usable_threads() -> int:
    """Return how many threads the networks may take: a batch gives each of its workers a share in OMP_NUM_THREADS."""
    share = os.environ.get("OMP_NUM_THREADS", "")
    return int(share) if share.isdecimal() and int(share) > 0 else os.cpu_count() or 1


def _label(part: Detection | Keypoints) -> str:
    return "blazepose-heavy" if isinstance(part, BlazePoseDetection | BlazePoseKeypoints) else part.weights


def _check_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise ConfigError(f"threads: expected a positive number or none, got {threads}")


def _check_score(score: float) -> None:
    if not 0 < score < 1:
        raise ConfigError(f"score: expected a number between 0 and 1, got {score}")


def _check_batch(batch: int) -> None:
    if batch < 1:
        raise ConfigError(f"batch: expected a positive number, got {batch}")


def _check_weights(name: str, starts: tuple[str, ...], end: str) -> None:
    """Raise ``ConfigError`` unless ``name`` is in the list of weights and of the kind that the network takes."""
    weights_named(name)
    if not name.startswith(starts) or not name.endswith(end) or name.endswith("-hf") != (end == "-hf"):
        kinds = " or ".join(f"{start}...{end}" for start in starts)
        raise ConfigError(f"weights: expected the name of {kinds} weights, got {name!r}")
