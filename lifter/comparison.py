"""A method's motion against a truth: the joints both have, frames matched by time, and the metrics that mean something.

Where a method does not answer in the site's axes, errors that align nothing would measure the axes; where its joints
are no metres, so would all that keep its scale. Those metrics are left out (NaN).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mocap_video.errors import ConfigError
from mocap_video.lifter.metrics import METRICS, FrameErrors, frame_errors, match_times
from mocap_video.lifter.others.base import Sequence3D
from mocap_video.skeletons import COCO17, Skeleton
from mocap_video.types import Camera

_NEEDED = tuple(f"{side}_{part}" for part in ("hip", "ankle") for side in ("left", "right"))
_TOLERANCE = 0.4
"""Frames match that are no further apart than this share of the truth's frame interval."""

SCALED = ("pa_mpjpe_mm", "w_mpjpe_mm", "wa_mpjpe_mm")
"""Metrics that align with a scale: all that remains of joints that are not metres."""

ALIGNED = (*SCALED, "w_mpjpe_scale1_mm", "wa_mpjpe_scale1_mm", "t_root_mm", "rte_percent", "jitter_10m_s3",
           "foot_slide_mm")  # fmt: skip
"""Metrics that do not ask in which axes the motion is told."""


@dataclass(frozen=True)
class Scored:
    """One sequence's errors; ``joints``: names of those compared."""

    name: str
    joints: tuple[str, ...]
    errors: FrameErrors


@dataclass(frozen=True)
class Terms:
    """How to compare. ``fps``: rate of a prediction that does not say when its frames were, None for the truth's;
    ``offset_s``: how far the prediction's clock is ahead of the truth's; ``scale``: bring joints that are no metres to
    the truth's mean limb lengths, one factor a sequence.
    """

    fps: float | None = None
    offset_s: float = 0.0
    scale: bool = False


def in_site(sequence: Sequence3D, camera: Camera) -> Sequence3D:
    """Return a sequence told in ``camera``'s axes in the site's; others as they are."""
    if sequence.placement != "camera":
        return sequence
    joints = (sequence.joints - camera.t_cam_from_world) @ camera.R_cam_from_world
    return replace(sequence, joints=joints, placement="site")


def compare(prediction: Sequence3D, truth: Sequence3D, terms: Terms) -> Scored:
    """Score ``prediction`` against ``truth``, whose frames have times.

    Raises ``ConfigError`` when they share no times, or too few joints: hips, ankles and two more.
    """
    assert truth.time_s is not None
    rate = 1 / float(np.median(np.diff(truth.time_s))) if len(truth.time_s) > 1 else 30.0
    prediction = prediction.at_rate(terms.fps or rate)
    assert prediction.time_s is not None
    names = tuple(name for name in truth.names if name in prediction.names)
    if len(names) < len(_NEEDED) + 2 or not set(_NEEDED) <= set(names):
        raise ConfigError(
            f"{prediction.name}: expected hips, ankles and two more joints that {truth.name} has, too; both have "
            f"{', '.join(names) or 'none'}"
        )
    mine, theirs = match_times(prediction.time_s - terms.offset_s, truth.time_s, _TOLERANCE / rate)
    if not len(mine):
        raise ConfigError(
            f"{prediction.name}: no frame is at a time of {truth.name}: {_span(prediction)} against {_span(truth)}. "
            "Check --fps and --offset"
        )
    span = slice(theirs.min(), theirs.max() + 1)
    known = truth.joints[span][:, [truth.names.index(name) for name in names]]
    seen = np.zeros(len(known), dtype=bool)
    seen[theirs - span.start] = True
    guess = np.full(known.shape, np.nan)
    guess[theirs - span.start] = prediction.joints[mine][:, [prediction.names.index(name) for name in names]]
    seen &= np.isfinite(guess).all((-1, -2))
    known = np.where(seen[:, None, None], known, np.nan)
    skeleton = _common(names)
    if terms.scale and not prediction.metric:
        guess = guess * _scale(guess, known, skeleton)
    try:
        errors = frame_errors(guess, known, skeleton, rate)
    except ValueError as error:
        raise ConfigError(f"{prediction.name} against {truth.name}: {error}") from error
    return Scored(truth.name, names, _meaningful(errors, prediction, terms))


def _span(sequence: Sequence3D) -> str:
    assert sequence.time_s is not None
    return f"{sequence.time_s[0]:.2f} to {sequence.time_s[-1]:.2f} s"


def _common(names: tuple[str, ...]) -> Skeleton:
    """Return the skeleton of ``names``: the root is the mid-hip, limbs are those of COCO-17 that are there."""
    limbs = tuple(
        (names.index(COCO17.names[a]), names.index(COCO17.names[b]))
        for a, b in COCO17.limbs
        if {COCO17.names[a], COCO17.names[b]} <= set(names)
    )
    own = tuple(range(len(names)))
    root = (names.index("left_hip"), names.index("right_hip"))
    return Skeleton("common", names, root, limbs, own, (0.0,) * len(names), COCO17.stance)


def _scale(guess: np.ndarray, known: np.ndarray, skeleton: Skeleton) -> float:
    """Return what ``guess`` is multiplied by to have the mean limb length of ``known``, both ``(T,J,3)``."""
    a, b = (list(ends) for ends in zip(*skeleton.limbs, strict=True))
    lengths = [np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for joints in (known, guess)]
    both = np.isfinite(lengths[0]) & np.isfinite(lengths[1])
    return float(lengths[0][both].sum() / max(lengths[1][both].sum(), 1e-9))


def _meaningful(errors: FrameErrors, prediction: Sequence3D, terms: Terms) -> FrameErrors:
    """Leave out what would measure axes or units."""
    kept = set(METRICS if prediction.placement == "site" else ALIGNED)
    if not prediction.metric:
        # such joints are about a root of their own: their path says nothing
        allowed = (*SCALED, "mpjpe_mm") if terms.scale else SCALED
        kept &= set(allowed)
    left_out = {name: np.full_like(getattr(errors, name), np.nan) for name in METRICS if name not in kept}
    return replace(errors, **left_out)
