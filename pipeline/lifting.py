"""From keypoints to bodies, a piece of the recording at a time: what ``run`` and ``lift`` share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mocap_video.artifacts import digest_of
from mocap_video.detectors.bias import BiasConfig, Unbiased
from mocap_video.errors import ConfigError
from mocap_video.lifter import fit as fitting
from mocap_video.lifter import lift as lifts
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.fit import FitConfig, FitPart
from mocap_video.lifter.lift import LiftConfig, Lifter, LiftPart, load_lifter
from mocap_video.lifter.smpl import load_smpl
from mocap_video.lifter.weights import shipped_weights
from mocap_video.pipeline.cast import Cast
from mocap_video.pipeline.coco_results import as_coco17
from mocap_video.pipeline.config import Config
from mocap_video.pipeline.progress import Advance
from mocap_video.pipeline.results import provenance
from mocap_video.pipeline.stages import FIT, LIFT, SHAPE, Shelf, StageRunner
from mocap_video.skeletons import COCO17
from mocap_video.stretches import ByPiece, Course, gathered, sampled
from mocap_video.types import BodyFit, Calibration, Keypoints2D, Motion3D


@dataclass(frozen=True)
class Settings:
    """What holds for every clip of a command. ``device`` is cpu or cuda; ``weights`` None means those that ship;
    ``smpl_model`` None means our own body; ``trust`` allows that file to hold pickles; ``command`` is what was typed.
    """

    config: Config
    device: str = "cpu"
    weights: Path | None = None
    smpl_model: Path | None = None
    trust: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tracks:
    """Everyone's keypoints: person ``i`` over the rows of ``courses[i]``, those of a piece in ``keypoints[piece]``;
    ``keys[piece]`` stands for that in the keys of later stages. All are of the set ``skeleton``.
    """

    courses: Sequence[Course]
    keypoints: ByPiece[Keypoints2D]
    keys: Sequence[str]
    skeleton: str = COCO17.name

    def only(self, numbers: tuple[int, ...] | None, source: Path) -> Tracks:
        """Return the people named in ``numbers``, all where None; ``ConfigError`` for one who is not in ``source``."""
        found = {course.person: course for course in self.courses}
        absent = [number for number in numbers or () if number not in found]
        if absent:
            raise ConfigError(
                f"--people: person {absent[0]} is not in {source}; found: {', '.join(map(str, sorted(found)))}. "
                "The numbers are those in people.csv of the results with all, and in the overlay of a video."
            )
        return self if numbers is None else replace(self, courses=[found[number] for number in numbers])

    def unbiased(self, bias: BiasConfig) -> Tracks:
        """Return everyone with the offsets of ``bias`` taken off: what is lifted, where results keep what was found.

        ``ConfigError`` for another set than COCO-17, whose detectors' offsets these are.
        """
        if bias and self.skeleton != COCO17.name:
            raise ConfigError(f"bias: expected keypoints of {COCO17.name}, got {self.skeleton}; leave it out.")
        keys = [digest_of((key, bias)) for key in self.keys]
        return replace(self, keypoints=Unbiased(self.keypoints, bias), keys=keys) if bias else self


@dataclass(frozen=True)
class Shape:
    """The ``betas (10)`` of a ``person``'s body."""

    person: int
    betas: np.ndarray


@dataclass(frozen=True)
class Lifted:
    """People with their bodies, the ``body`` model they wear, and what made them: digests of ``weights`` by name.

    ``keys`` stand for all that is known of each piece in the keys of later stages.
    """

    people: Cast
    body: BodyModel
    weights: dict[str, str]
    keys: Sequence[str]


def choose_device(name: str) -> str:
    """Return cpu or cuda for auto, cpu or cuda; ``ConfigError`` where CUDA is asked for and is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: PyTorch finds no CUDA device here. Use --device auto, or check the driver.")
    return name


def origin_of(settings: Settings, weights: Mapping[str, str], inputs: Mapping[str, str]) -> dict[str, object]:
    """Return a result's provenance: ``weights`` and ``inputs`` are digests by name."""
    origin = provenance(command=settings.command, config=settings.config, weights=weights)
    return {**origin, "device": settings.device, "inputs": dict(inputs)}


def lift_people(tracks: Tracks, calibration: Calibration, settings: Settings, runner: StageRunner) -> Lifted:
    """Lift everyone to 3D and fit a body to each; people come back in COCO-17, whatever they are tracked by."""
    config, chosen = settings.config, settings.smpl_model
    body = load_smpl(chosen, trust=settings.trust) if chosen else load_body("neutral")
    weights = {"body": f"{body.name} {body.digest}"}
    if not tracks.courses:
        return Lifted(Cast.of([]), body, weights, [])
    if config.fit.height_m is not None and len(tracks.courses) > 1:
        raise ConfigError(
            f"--height {config.fit.height_m:g}: one height for {len(tracks.courses)} people. Say whose it is: "
            "--people N."
        )
    lifter = load_lifter(settings.weights or shipped_weights(tracks.skeleton), settings.device)
    stages = _Stages(
        tracks.unbiased(config.bias), calibration, body, lifter, replace(config.fit, device=settings.device), runner
    )
    motions = stages.lift(config.lift, settings.device)
    shapes = stages.shape(motions)
    bodies = stages.fit(motions, shapes)
    people = Cast(tracks.courses, tracks.keypoints, motions, bodies)
    if tracks.skeleton != COCO17.name:
        people = as_coco17(people, body)
    return Lifted(people, body, {**weights, "lifter": lifter.digest}, bodies.keys)


@dataclass(frozen=True)
class _Stages:
    """What the stages from keypoints to bodies share."""

    tracks: Tracks
    calibration: Calibration
    body: BodyModel
    lifter: Lifter
    config: FitConfig
    runner: StageRunner

    def lift(self, options: LiftConfig, device: str) -> Shelf[Motion3D]:
        """Lift everyone, each piece with what of its neighbours decides it."""
        with self.runner.in_pieces(LIFT, Motion3D) as pieces:
            for piece in range(len(self.tracks.keypoints)):
                spans = self._spans(piece, functools.partial(lifts.rows_needed, config=options))
                inputs = (*self._scene(spans, self.tracks.keys), options, device, self.lifter.digest)
                pieces.add(inputs, functools.partial(self._lifted, spans, options))
        return pieces.shelf

    def shape(self, motions: Shelf[Motion3D]) -> dict[int, np.ndarray]:
        """Find one shape a person from a sample of the whole track: betas ``(10)`` by person."""

        def compute(_: Advance) -> list[Shape]:
            return [self._shape(course, motions) for course in self.tracks.courses]

        people = [(course.person, course.time_s) for course in self.tracks.courses]
        inputs = (people, self.tracks.keys, motions.keys, self.calibration.camera, self.calibration.ground,
                  self.config, self.body.digest)  # fmt: skip
        return {shape.person: shape.betas for shape in self.runner.values(SHAPE, inputs, Shape, compute)}

    def fit(self, motions: Shelf[Motion3D], shapes: Mapping[int, np.ndarray]) -> Shelf[BodyFit]:
        """Fit everyone's poses, each piece with what of its neighbours decides it."""
        with self.runner.in_pieces(FIT, BodyFit) as pieces:
            for piece in range(len(self.tracks.keypoints)):
                spans = self._spans(piece, functools.partial(fitting.rows_needed, config=self.config))
                betas = [shapes[span.course.person] for span in spans]
                inputs = (*self._scene(spans, self.tracks.keys, motions.keys), betas, self.config, self.body.digest)
                pieces.add(inputs, functools.partial(self._fitted, spans, motions, betas))
        return pieces.shelf

    def _spans(self, piece: int, needed: Callable[[np.ndarray, int, int], tuple[int, int]]) -> list[_Span]:
        """Return whose rows ``piece`` holds, and which rows of theirs decide those."""
        spans = []
        for course in self.tracks.courses:
            first, stop = course.rows_in(piece)
            if first < stop:
                spans.append(_Span(course, first, stop, *needed(course.time_s, first, stop)))
        return spans

    def _scene(self, spans: Sequence[_Span], *keys: Sequence[str]) -> tuple[object, ...]:
        """Return what a piece with ``spans`` is made of: all pieces, by their ``keys``, in which these have rows."""
        pieces = sorted({piece for span in spans for piece in span.pieces})
        rows = [(span.course.person, span.course.time_s, span.first, span.stop) for span in spans]
        about = [part[piece] for part in keys for piece in pieces]
        return rows, about, self.calibration.camera, self.calibration.ground

    def _lifted(self, spans: Sequence[_Span], options: LiftConfig, _: Advance) -> list[Motion3D]:
        parts = []
        for span in spans:
            keypoints = gathered(self.tracks.keypoints, span.course, span.start, span.end)
            parts.append(LiftPart(keypoints, span.start, span.first, span.stop, span.course.time_s))
        return lifts.lift_parts(parts, self.calibration, self.lifter, options)

    def _shape(self, course: Course, motions: Shelf[Motion3D]) -> Shape:
        rows = fitting.shape_rows(course.time_s, self.config)
        keypoints, motion = sampled(self.tracks.keypoints, course, rows), sampled(motions, course, rows)
        return Shape(course.person, fitting.fit_shape(keypoints, motion, self.calibration, self.body, self.config))

    def _fitted(
        self, spans: Sequence[_Span], motions: Shelf[Motion3D], betas: Sequence[np.ndarray], _: Advance
    ) -> list[BodyFit]:
        parts = []
        for span in spans:
            keypoints = gathered(self.tracks.keypoints, span.course, span.start, span.end)
            motion = gathered(motions, span.course, span.start, span.end)
            parts.append(FitPart(keypoints, motion, span.start, span.first, span.stop, span.course.time_s))
        return fitting.fit_parts(parts, betas, self.calibration, self.body, self.config)


@dataclass(frozen=True)
class _Span:
    """Rows ``first`` to before ``stop`` of a course, and ``start`` to before ``end``: those that decide them."""

    course: Course
    first: int
    stop: int
    start: int
    end: int

    @property
    def pieces(self) -> list[int]:
        """The pieces that hold the rows that decide."""
        inside = []
        for piece in self.course.pieces:
            first, stop = self.course.rows_in(piece)
            if first < self.end and stop > self.start:
                inside.append(piece)
        return inside
