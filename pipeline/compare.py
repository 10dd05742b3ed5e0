"""``eval --pred`` and ``--truth``: other methods' results, or our own, against a truth, sequence by sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from mocap_video.calib.files import read_calibration
from mocap_video.calib.geometry import project
from mocap_video.errors import ConfigError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.comparison import Scored, Terms, compare, in_site
from mocap_video.lifter.fit import fit_body
from mocap_video.lifter.lift import lift, load_lifter
from mocap_video.lifter.metrics import LABELS, METRICS, MotionErrors, pool_errors
from mocap_video.lifter.others.base import ReadOptions, Sequence3D
from mocap_video.lifter.others.readers import READERS, read_sequence
from mocap_video.pipeline.config import Config
from mocap_video.pipeline.evaluate import aligned, fitted_keypoints
from mocap_video.skeletons import COCO17
from mocap_video.types import Camera, Keypoints2D


@dataclass(frozen=True)
class ComparePlan:
    """What to score: ``prediction`` (None: what is lifted here) and ``truth`` are one sequence each, or folders whose
    entries share their names.

    ``form`` and ``truth_form`` name layouts, None to find out; ``calib``: the camera, or a folder of one file a
    sequence, for results told in the camera's axes; ``truth_fps`` for a truth that does not say.
    """

    prediction: Path | None
    truth: Path
    form: str | None = None
    truth_form: str | None = None
    calib: Path | None = None
    truth_fps: float | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    terms: Terms = field(default_factory=Terms)


def compare_all(plan: ComparePlan) -> list[Scored]:
    """Score every sequence. Raises ``ConfigError`` where the names of two folders do not agree."""
    assert plan.prediction is not None
    predictions, truths = _members(plan.prediction, plan.form), _members(plan.truth, plan.truth_form)
    if len(predictions) == len(truths) == 1:
        pairs = [(*predictions.values(), *truths.values())]
    else:
        absent = sorted(set(predictions) - set(truths))
        if absent or not predictions:
            raise ConfigError(
                f"{plan.prediction}: expected entries named as those of {plan.truth}; without a truth: "
                f"{', '.join(absent) or 'all'}"
            )
        pairs = [(path, truths[name]) for name, path in sorted(predictions.items())]
    return [_score(prediction, truth, plan) for prediction, truth in pairs]


def lift_truths(
    plan: ComparePlan, config: Config, weights: Path | None, device: str, *, fit: bool
) -> dict[str, list[Scored]]:
    """Lift what the camera ``plan.calib`` would see of the truths, exactly, and score it: by method, every sequence.

    ``plan.prediction`` is not looked at; frames in which nothing is seen do not count. Raises ``ConfigError`` for a
    truth that the camera sees nothing of.
    """
    lifter, body, fit_config = load_lifter(weights, device), load_body(), replace(config.fit, device=device)
    scored: dict[str, list[Scored]] = {}
    for path in _members(plan.truth, plan.truth_form).values():
        truth = read_sequence(path, plan.options, plan.truth_form).at_rate(plan.truth_fps)
        calibration = read_calibration(_calib_of(plan, path.stem))
        keypoints = seen_of(truth, calibration.camera)
        motion = lift([keypoints], calibration, lifter, config.lift)[0]
        answers = {"lifter": motion.joints}
        if fit:
            fitted = fit_body(keypoints, motion, calibration, body, fit_config)
            answers["lifter + fit"] = fitted_keypoints(fitted, body)
        for method, joints in answers.items():
            told = np.where(keypoints.seen[:, None, None], joints, np.nan)
            mine = Sequence3D(truth.name, COCO17.names, told, truth.frames, truth.time_s)
            scored.setdefault(method, []).append(compare(mine, truth, plan.terms))
    return scored


def seen_of(truth: Sequence3D, camera: Camera) -> Keypoints2D:
    """Return the COCO-17 keypoints of ``truth``, site world, that fall into the image of ``camera``, without error."""
    if truth.placement != "site" or not truth.metric:
        raise ConfigError(f"{truth.name}: expected a truth in metres in the site's axes to put before a camera")
    assert truth.time_s is not None
    joints = np.full((len(truth.frames), len(COCO17), 3), np.nan)
    for row, name in enumerate(COCO17.names):
        if name in truth.names:
            joints[:, row] = truth.joints[:, truth.names.index(name)]
    pixels, valid = project(torch.as_tensor(np.nan_to_num(joints)), camera)
    xy = pixels.numpy()
    inside = ((xy >= -0.5) & (xy <= np.array(camera.size) - 0.5)).all(-1)
    seen = inside & valid.numpy() & np.isfinite(joints).all(-1)
    if not seen.any():
        raise ConfigError(f"{truth.name}: nothing of it falls into the camera's image; is this its calibration?")
    return Keypoints2D(
        person=1,
        skeleton=COCO17.name,
        frames=truth.frames,
        time_s=truth.time_s,
        xy=np.where(seen[..., None], xy, np.nan),
        score=seen.astype(float),
    )


def _score(prediction: Path, truth: Path, plan: ComparePlan) -> Scored:
    options = replace(plan.options, camera=plan.calib is not None)
    mine = read_sequence(prediction, options, plan.form)
    theirs = read_sequence(truth, replace(options, person=None), plan.truth_form).at_rate(plan.truth_fps)
    if plan.calib is not None and mine.placement == "camera":
        mine = in_site(mine, read_calibration(_calib_of(plan, truth.stem)).camera)
    return compare(mine, theirs, plan.terms)


def _calib_of(plan: ComparePlan, name: str) -> Path:
    if plan.calib is None:
        raise ConfigError("--truth without --pred: give --calib, the camera that would have seen it")
    return plan.calib / f"{name}.yaml" if plan.calib.is_dir() else plan.calib


def _members(path: Path, form: str | None) -> dict[str, Path]:
    """Return the sequences at ``path`` by name: itself, or the entries of a folder that is no sequence."""
    readers = READERS.values() if form is None else [READERS[form]]
    if not path.is_dir() or any(reader.recognises(path) for reader in readers):
        return {path.stem: path}
    return {entry.stem: entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")}


def pooled(scored: list[Scored]) -> MotionErrors:
    """Return the errors over the frames of all sequences."""
    return pool_errors([one.errors for one in scored])


def comparison_table(scored: list[Scored]) -> str:
    """Return one line a sequence and, where there are several, one of all, as text; - where a metric says nothing."""
    lines = [["sequence", "frames", "joints", *(LABELS[name] for name in METRICS)]]
    lines += [_line(one.name, len(one.joints), pool_errors([one.errors])) for one in scored]
    if len(scored) > 1:
        lines.append(_line("all", min(len(one.joints) for one in scored), pooled(scored)))
    return aligned(lines, left=1)


def _line(name: str, joints: int, errors: MotionErrors) -> list[str]:
    values = [getattr(errors, metric) for metric in METRICS]
    cells = ["-" if np.isnan(value) else f"{value:.1f}" for value in values]
    return [name, str(errors.frames), str(joints), *cells]


def comparison_json(scored: list[Scored]) -> Mapping[str, object]:
    """Return every metric, for a script."""

    def record(errors: MotionErrors) -> dict[str, object]:
        return {"frames": errors.frames, **{name: getattr(errors, name) for name in METRICS}}

    rows = [{"sequence": one.name, "joints": one.joints, **record(pool_errors([one.errors]))} for one in scored]
    return {"sequences": rows, "all": record(pooled(scored))}
