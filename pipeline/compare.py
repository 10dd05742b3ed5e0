"""``eval --pred``: other methods' results, or our own, against a truth, sequence by sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mocap_video.calib.files import read_calibration
from mocap_video.errors import ConfigError
from mocap_video.lifter.comparison import Scored, Terms, compare, in_site
from mocap_video.lifter.metrics import LABELS, METRICS, MotionErrors, pool_errors
from mocap_video.lifter.others.base import ReadOptions, Sequence3D
from mocap_video.lifter.others.readers import READERS, read_sequence
from mocap_video.pipeline.evaluate import aligned


@dataclass(frozen=True)
class ComparePlan:
    """What to score: ``prediction`` and ``truth`` are one sequence each, or folders whose entries share their names.

    ``form`` and ``truth_form`` name layouts, None to find out; ``calib``: the camera, or a folder of one file a
    sequence, for results told in the camera's axes; ``truth_fps`` for a truth that does not say.
    """

    prediction: Path
    truth: Path
    form: str | None = None
    truth_form: str | None = None
    calib: Path | None = None
    truth_fps: float | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    terms: Terms = field(default_factory=Terms)


def compare_all(plan: ComparePlan) -> list[Scored]:
    """Score every sequence. Raises ``ConfigError`` where the names of two folders do not agree."""
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


def _score(prediction: Path, truth: Path, plan: ComparePlan) -> Scored:
    options = replace(plan.options, camera=plan.calib is not None)
    mine = read_sequence(prediction, options, plan.form)
    theirs = read_sequence(truth, replace(options, person=None), plan.truth_form).at_rate(plan.truth_fps)
    if plan.calib is not None:
        mine = _in_site(mine, plan.calib, truth.stem)
    return compare(mine, theirs, plan.terms)


def _in_site(sequence: Sequence3D, calib: Path, name: str) -> Sequence3D:
    if sequence.placement != "camera":
        return sequence
    path = calib / f"{name}.yaml" if calib.is_dir() else calib
    return in_site(sequence, read_calibration(path).camera)


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
