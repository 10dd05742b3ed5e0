"""From keypoints to bodies: what ``run`` and ``lift`` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mocap_video.errors import ConfigError
from mocap_video.lifter.body import BodyModel, load_body
from mocap_video.lifter.fit import fit_bodies
from mocap_video.lifter.lift import lift, load_lifter
from mocap_video.lifter.smpl import load_smpl
from mocap_video.pipeline.config import Config
from mocap_video.pipeline.results import provenance
from mocap_video.pipeline.stages import FIT, LIFT, StageRunner
from mocap_video.types import BodyFit, Calibration, Keypoints2D, Motion3D, Person


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
class Lifted:
    """People with their bodies, the ``body`` model they wear, and what made them: digests of ``weights`` by name."""

    people: tuple[Person, ...]
    body: BodyModel
    weights: dict[str, str]


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


def choose_people(everyone: Sequence[Keypoints2D], only: tuple[int, ...] | None, source: Path) -> Sequence[Keypoints2D]:
    """Return the people of ``source`` named in ``only``, all where None; ``ConfigError`` for one who is not there."""
    found = {keypoints.person: keypoints for keypoints in everyone}
    if only is None:
        return everyone
    absent = [number for number in only if number not in found]
    if absent:
        raise ConfigError(
            f"--people: person {absent[0]} is not in {source}; found: {', '.join(map(str, sorted(found)))}. "
            "The numbers are those in people.csv of the results with all, and in the overlay of a video."
        )
    return [found[number] for number in only]


def lift_people(
    keypoints: Sequence[Keypoints2D], calibration: Calibration, settings: Settings, runner: StageRunner
) -> Lifted:
    """Lift everyone to 3D and fit a body to each."""
    config, chosen = settings.config, settings.smpl_model
    body = load_smpl(chosen, trust=settings.trust) if chosen else load_body("neutral")
    weights = {"body": f"{body.name} {body.digest}"}
    if not keypoints:
        return Lifted((), body, weights)
    if config.fit.height_m is not None and len(keypoints) > 1:
        raise ConfigError(
            f"--height {config.fit.height_m:g}: one height for {len(keypoints)} people. Say whose it is: --people N."
        )
    lifter = load_lifter(settings.weights, settings.device)
    scene = (list(keypoints), calibration.camera, calibration.ground)
    motions = runner.values(
        LIFT,
        (*scene, config.lift, settings.device, lifter.digest),
        Motion3D,
        lambda _: lift(keypoints, calibration, lifter, config.lift),
    )
    fit = replace(config.fit, device=settings.device)
    bodies = runner.values(
        FIT,
        (*scene, motions, fit, body.digest),
        BodyFit,
        lambda _: fit_bodies(keypoints, motions, calibration, body, fit),
    )
    people = tuple(Person(*parts) for parts in zip(keypoints, motions, bodies, strict=True))
    return Lifted(people, body, {**weights, "lifter": lifter.digest})
