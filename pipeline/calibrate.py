"""The controllers of ``calib``: clips and files in, cam.yaml and the proof picture out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from mocap_video.artifacts import atomic_write
from mocap_video.calib import geometry
from mocap_video.calib.examine import Finding, describe, examine_edges, examine_people, examine_view
from mocap_video.calib.files import calibration_for_size, camera_for_size, read_calibration, read_lens
from mocap_video.calib.ground import canonical_frame
from mocap_video.calib.mount import pinhole
from mocap_video.calib.optics import focal_from_hfov
from mocap_video.calib.upright import Rulers, UprightViews, measure, upright_views
from mocap_video.detectors.config import GateConfig, PeopleConfig
from mocap_video.detectors.front_end import build_front_end
from mocap_video.detectors.people import find_people
from mocap_video.errors import ConfigError
from mocap_video.pipeline.progress import Progress
from mocap_video.pipeline.video import probe, read_frames
from mocap_video.render.proof import Measured, draw_proof
from mocap_video.types import Calibration, Camera, Frame, VideoInfo

PROOF_NAME = "check.png"

_RATE_HZ = 8.0
_LEAST_FRAMES = 60
_PART_S = 6.0
_MOST_S = 60.0
"""People are looked for in parts of a clip, spread evenly over it, that last so long in all."""

_ANYBODY = PeopleConfig(gate=GateConfig(stature_m=(0.3, 6.0), off_ground_presence=0.6, off_ground_score=0.4))
"""Who counts as a person while the calibration is in question: the ground may be wrong, so nobody is refused by it."""

_LEGEND = (
    "Grid lines 1 m apart, every fifth bold; posts 1.7 m tall, with their distance from the camera over the ground."
)


@dataclass(frozen=True)
class Check:
    """What ``calib check`` found; ``proof`` is the picture it wrote."""

    claim: str
    findings: tuple[Finding, ...]
    proof: Path

    @property
    def wrong(self) -> list[Finding]:
        """What shows that the calibration cannot be true."""
        return [finding for finding in self.findings if finding.level == "wrong"]

    def as_json(self) -> dict[str, object]:
        """Return the findings for a script."""
        return {"claim": self.claim, "findings": [vars(f) for f in self.findings], "proof": str(self.proof)}


def check(clip: Path, calib_path: Path, output: Path, progress: Progress, *, people: bool = True) -> Check:
    """Examine the calibration of ``clip`` and write the proof picture into ``output``.

    Raises ``CalibrationError`` for a calibration that is refused outright; whatever else is wrong is in the findings.
    """
    video = probe(clip)
    stored = read_calibration(calib_path)
    calibration = calibration_for_size(stored, video.size, calib_path=calib_path, clip_path=clip)
    findings = [_size_finding(stored, video), *examine_view(calibration)]
    sightings = see_people(clip, video, calibration, progress) if people else upright_views([], video.size)
    first = next(iter(read_frames(clip)))
    findings += examine_edges(calibration, cv2.cvtColor(first.rgb, cv2.COLOR_RGB2GRAY))
    if people:
        findings += examine_people(calibration, sightings)
    proof = output / PROOF_NAME
    write_proof(clip, calibration, proof, findings, sightings)
    return Check(describe(calibration), tuple(findings), proof)


def _size_finding(stored: Calibration, video: VideoInfo) -> Finding:
    size, own = "x".join(map(str, video.size)), "x".join(map(str, stored.camera.size))
    turned = f", turned by {video.rotation_deg} degrees by its metadata" if video.rotation_deg else ""
    if size == own:
        return Finding("ok", "size", f"The clip has the calibrated size, {size}{turned}.")
    text = f"The clip is {size}{turned}; the calibration is for {own} and was rescaled. A crop would make it wrong."
    return Finding("note", "size", text)


def see_people(clip: Path, video: VideoInfo, calibration: Calibration, progress: Progress) -> UprightViews:
    """Return the upright people in samples of ``clip``; ``calibration`` need only be roughly true."""
    front_end = build_front_end()
    parts = _parts(video)
    rate_hz = max(_LEAST_FRAMES / sum(end - start for start, end in parts), _RATE_HZ)
    total = sum(int(((video.time_s >= start) & (video.time_s < end)).sum()) for start, end in parts)
    with progress.stage("people", total) as advance:

        def counted() -> Iterator[Frame]:
            index = 0  # consecutive: the tracker takes a gap in the numbers for a person not seen
            for frame, wanted in _frames(clip, parts, rate_hz):
                advance(1)
                if wanted:
                    yield replace(frame, index=index)
                    index += 1

        tracks = find_people(
            counted(), calibration, _ANYBODY, detector=front_end.detector, estimator=front_end.estimator
        )
    return upright_views([track.keypoints for track in tracks], video.size)


def _parts(video: VideoInfo) -> list[tuple[float, float]]:
    """Return the parts (start, end) s of the clip to look at: all of it, or several spread over it."""
    duration = float(video.time_s[-1]) + 1e-3
    if duration <= _MOST_S:
        return [(0.0, duration)]
    starts = np.linspace(0, duration - _PART_S, int(_MOST_S / _PART_S))
    inner = np.searchsorted(video.time_s, starts)
    return [(float(video.time_s[i]), float(video.time_s[i]) + _PART_S) for i in inner]


def _frames(clip: Path, parts: Sequence[tuple[float, float]], rate_hz: float) -> Iterator[tuple[Frame, bool]]:
    """Yield the frames of ``parts`` and whether each is one of those, ``rate_hz`` a second, to look at."""
    last_s = -np.inf
    for start, end in parts:
        for frame in read_frames(clip, start_s=start, end_s=end):
            wanted = frame.time_s >= last_s + 1 / rate_hz - 1e-6
            last_s = frame.time_s if wanted else last_s
            yield frame, wanted


def write_proof(
    clip: Path, calibration: Calibration, path: Path, findings: Sequence[Finding], sightings: UprightViews
) -> None:
    """Draw ``calibration`` over the frame of ``clip`` with most people, and write it as a PNG."""
    time_s, rows = _fullest_moment(sightings)
    frame = next(iter(read_frames(clip, start_s=time_s)))
    people = measured_people(calibration, measure(calibration, sightings), rows)
    save_proof(frame.rgb, calibration, path, findings, people)


def measured_people(calibration: Calibration, rulers: Rulers, rows: np.ndarray) -> list[Measured]:
    """Return those of ``rows`` who are on the ground, from the ground to the top of the stature that was measured."""
    frame = canonical_frame(calibration.camera, calibration.ground)
    people = []
    for row in rows:
        right, ahead, tall = *rulers.place[row], float(rulers.stature[row])
        ends = frame.to_site(np.array([[-right, 0, ahead], [-right, tall, ahead]]))
        pixels, seen = geometry.project(torch.from_numpy(ends), calibration.camera)
        if bool(seen.all()):
            people.append(Measured(pixels[0].numpy(), pixels[1].numpy(), tall))
    return people


def save_proof(
    rgb: np.ndarray,
    calibration: Calibration,
    path: Path,
    findings: Sequence[Finding],
    people: Sequence[Measured] = (),
) -> None:
    """Draw ``calibration`` over the frame ``rgb (H,W,3)`` uint8, and write it as a PNG."""
    said = [("note", describe(calibration)), ("note", _LEGEND), *((f.level, f.text) for f in findings)]
    save_picture(draw_proof(rgb, calibration, said, people), path)


def save_picture(rgb: np.ndarray, path: Path) -> None:
    """Write ``rgb (H,W,3)`` uint8 as a PNG."""
    with atomic_write(path) as partial:
        Image.fromarray(rgb).save(partial, format="PNG")


def _fullest_moment(sightings: UprightViews) -> tuple[float, np.ndarray]:
    """Return the time (s) at which most people are seen at once, and the rows of ``sightings`` then."""
    if len(sightings) == 0:
        return 0.0, np.zeros(0, int)
    times, counts = np.unique(sightings.time_s, return_counts=True)
    time_s = float(times[np.argmax(counts)])
    return time_s, np.flatnonzero(sightings.time_s == time_s)


@dataclass(frozen=True)
class Made:
    """A cam.yaml that was written, what it claims, and what the user should know of it.

    ``proof`` is the picture beside it, if a clip was at hand; ``details`` are figures for a script.
    """

    path: Path
    claim: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    proof: Path | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return everything for a script."""
        proof = None if self.proof is None else str(self.proof)
        said = {"claim": self.claim, "notes": list(self.notes), "warnings": list(self.warnings)}
        return {"path": str(self.path), **said, "proof": proof, **self.details}

    def as_text(self) -> str:
        """Return everything for a reader."""
        lines = [self.claim, *self.notes, *(f"WARNING  {text}" for text in self.warnings), f"written: {self.path}"]
        return "\n".join(lines if self.proof is None else [*lines, f"look at the picture: {self.proof}"])


def chosen_lens(video: VideoInfo, lens: Path | None, hfov_deg: float | None) -> Camera | None:
    """Return the optics that the options ``--lens`` or ``--hfov-deg`` give for the clip; None without them."""
    if lens is not None and hfov_deg is not None:
        raise ConfigError("--lens and --hfov-deg: expected one of them, got both. A lens file holds the field of view.")
    if lens is not None:
        return camera_for_size(read_lens(lens), video.size, calib_path=lens, clip_path=video.path)
    if hfov_deg is not None:
        return pinhole(video.size, focal_from_hfov(video.size, hfov_deg))
    return None
