"""The body fitted to lifted joints and keypoints (method.md 7.7): one shape per person, no scale, true metres.

Three stages, each with all frames at once: the shape from the best-seen frames, first free, then standing on the
ground; the pose of every window without contacts; the pose again with the contacts found. Windows overlap and are
blended, so memory does not grow with length.
Poses are solved at no more than 30 Hz and interpolated to the frames between.
Works in the camera's canonical frame and answers in the site world's axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from mocap_video.calib import geometry
from mocap_video.calib.ground import CanonicalFrame, canonical_frame
from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.fit_energy import (
    FitConfig,
    Term,
    Windows,
    contact_terms,
    contacts,
    frame_terms,
    ground_term,
    lowest_soles,
    motion_terms,
    touch_term,
)
from mocap_video.lifter.fit_features import FREE, Layout, Pose, layout
from mocap_video.lifter.fit_solver import minimize, minimize_with_shape
from mocap_video.lifter.fit_start import start_betas, start_pose
from mocap_video.lifter.keypoints import keypoints as keypoints_of
from mocap_video.lifter.pose_prior import PosePrior, pose_prior
from mocap_video.lifter.rotations import matrix_from_six, rotvec_from_matrix, six_from_matrix
from mocap_video.skeletons import SKELETONS, Skeleton
from mocap_video.types import BodyFit, Calibration, Keypoints2D, Motion3D

__all__ = ["FitConfig", "fit_bodies", "fit_body", "stature"]


@dataclass(frozen=True)
class _Track:
    """One person's observations in the canonical frame: the fields of ``Windows`` with a leading T for (B, L)."""

    joints: Tensor
    joint_sd: Tensor
    xy: Tensor
    xy_weight: Tensor
    time_s: Tensor


@dataclass(frozen=True)
class _Cut:
    """One window: frames ``start`` to ``stop`` of person number ``person``."""

    person: int
    start: int
    stop: int


def fit_body(
    keypoints: Keypoints2D, motion: Motion3D, calibration: Calibration, body: BodyModel, config: FitConfig
) -> BodyFit:
    """Fit ``body`` to one person: ``keypoints`` and ``motion`` over the same frames. See ``fit_bodies``."""
    return fit_bodies([keypoints], [motion], calibration, body, config)[0]


def fit_bodies(
    keypoints: Sequence[Keypoints2D],
    motions: Sequence[Motion3D],
    calibration: Calibration,
    body: BodyModel,
    config: FitConfig,
) -> list[BodyFit]:
    """Fit ``body`` to several people at once; entry ``i`` of both sequences is one person over the same frames.

    All share a skeleton. Results are in the site world's axes: ``global_orient`` turns the body's frame (+Y up) into
    the site's, ``transl`` and ``joints`` are metres there.
    """
    for seen, motion in zip(keypoints, motions, strict=True):
        if len(seen.frames) != len(motion.frames) or (seen.frames != motion.frames).any():
            raise ValueError(f"fit_bodies: person {seen.person}: keypoints and motion differ in their frames")
        if seen.skeleton != motion.skeleton or motion.skeleton != motions[0].skeleton:
            raise ValueError(f"fit_bodies: expected one skeleton, got {seen.skeleton} and {motion.skeleton}")
    if not motions:
        return []
    body, frame = body.to(config.device, torch.float64), canonical_frame(calibration.camera, calibration.ground)
    skeleton = SKELETONS[motions[0].skeleton]
    tracks = [_track(k, m, calibration, frame, config) for k, m in zip(keypoints, motions, strict=True)]
    R_cam, t_cam = (
        torch.as_tensor(a, dtype=torch.float64, device=config.device) for a in frame.camera(calibration.camera)
    )
    fitter = _Fitter(body, skeleton, config, R_cam, t_cam)
    with _one_thread():
        solved = [_pick(track, _solved_frames(track.time_s, config.rate_hz)) for track in tracks]
        betas = torch.stack([fitter.shape(track) for track in solved])
        poses = [
            _at_times(pose, knots.time_s, track.time_s)
            for pose, knots, track in zip(fitter.poses(solved, betas), solved, tracks, strict=True)
        ]
    return [_result(motion, body, betas[i], poses[i], tracks[i], frame, skeleton) for i, motion in enumerate(motions)]


def stature(body: BodyModel, betas: Tensor) -> Tensor:
    """Return the height ``(...)`` m of the T-pose of ``betas (...,10)``, sole to crown."""
    height = body.v_template[:, 1] + betas @ body.shapedirs[:, 1].T
    return height.amax(-1) - height.amin(-1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: the fit's matrices are small, and handing them round costs more than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _solved_frames(time_s: Tensor, rate_hz: float) -> Tensor:
    """Return the frames, of ``time_s (T)``, that are no closer than ``rate_hz`` allows; first and last among them."""
    times, spacing = time_s.tolist(), 0.95 / rate_hz  # clips of 29.97 or jittery 30 frames a second keep every frame
    kept = [0]
    for index, time in enumerate(times):
        if time - times[kept[-1]] >= spacing:
            kept.append(index)
    if kept[-1] != len(times) - 1:
        kept.append(len(times) - 1)
    return torch.tensor(kept, device=time_s.device)


def _at_times(pose: Pose, solved_s: Tensor, time_s: Tensor) -> Pose:
    """Return ``pose`` at times ``solved_s (K)`` s at ``time_s (T)`` s, by cubic splines."""
    if len(solved_s) == len(time_s):
        return pose

    def spline(values: Tensor) -> Tensor:
        return torch.as_tensor(CubicSpline(solved_s.cpu(), values.cpu())(time_s.cpu())).to(values)

    rotations = matrix_from_six(spline(six_from_matrix(pose.rotations)))
    return Pose(rotations[:, 0], rotvec_from_matrix(rotations[:, 1:]), spline(pose.transl))


def _track(
    keypoints: Keypoints2D, motion: Motion3D, calibration: Calibration, frame: CanonicalFrame, config: FitConfig
) -> _Track:
    """Move one person's observations into the canonical frame and normalised coordinates."""
    joints = frame.to_canonical(motion.joints.astype(np.float64))
    xy = geometry.normalized_from_pixels(torch.as_tensor(keypoints.xy, dtype=torch.float64), calibration.camera)
    usable = torch.isfinite(xy).all(-1)

    def cast(value: Tensor | np.ndarray) -> Tensor:
        return torch.as_tensor(value).to(config.device, torch.float64)

    return _Track(
        joints=cast(joints),
        joint_sd=cast(np.hypot(motion.spread, config.joint_sd_m)),
        xy=cast(torch.where(usable[..., None], xy, torch.zeros_like(xy))),
        xy_weight=cast(torch.as_tensor(keypoints.score) * usable),
        time_s=cast(motion.time_s - motion.time_s[0]),
    )


@dataclass(frozen=True)
class _Fitter:
    """The three stages for one body, camera and config."""

    body: BodyModel
    skeleton: Skeleton
    config: FitConfig
    R_cam: Tensor
    t_cam: Tensor

    @property
    def at(self) -> Layout:
        return layout(self.skeleton)

    @property
    def prior(self) -> PosePrior:
        """Of the joints that the fit turns."""
        whole, turned = pose_prior(self.t_cam), [joint - 1 for joint in FREE[1:]]
        return PosePrior(*(part[turned] for part in vars(whole).values()))

    def shape(self, track: _Track) -> Tensor:
        """Return the betas ``(10)`` of a person from the frames seen best, each frame on its own.

        First without the ground: pushing a foot up would shorten the legs. Then on the feet that stand: the ground
        tells their distance, and that the size of what is seen above them. Lifted joints count little there, since they
        are wrong together, by the size that the network took a person to be.
        """
        weight = track.joint_sd.reciprocal() * (0.2 + track.xy_weight)
        order = weight.mean(-1).argsort(descending=True, stable=True)
        best = order[: max(len(order) // 2, min(len(order), self.config.shape_frames))].sort().values
        chosen = best[torch.linspace(0, len(best) - 1, min(len(best), self.config.shape_frames)).round().long()]
        seen = self._windows([_pick(track, chosen)])
        betas = start_betas(track.joints, weight, self.body, self.skeleton)
        pose = Pose(*start_pose(seen.joints, betas, self.body, self.skeleton))
        terms = frame_terms(seen, self.at, self.prior, self.config)
        betas, pose = self._shaped(betas, pose, terms, self.config.shape_weight)
        relative, common, off_ray, usual, limits = terms
        weak = [
            replace(term, confidence=term.confidence * self.config.lifted_share) for term in (relative, common, usual)
        ]
        standing = lowest_soles(self.body.pose(betas, pose.rotations, pose.transl).soles, self.config)
        touch = touch_term(standing, seen, self.at, self.config)
        floor = ground_term(seen, self.at, self.config.touch_sd_m)
        weight = self.config.shape_weight * self.config.lifted_share
        return self._pinned(self._shaped(betas, pose, [*weak, off_ray, limits, floor, touch], weight)[0])

    def _shaped(self, betas: Tensor, pose: Pose, terms: Sequence[Term], weight: float) -> tuple[Tensor, Pose]:
        """Return the betas ``(10)``, each squared costing ``weight`` a frame, and single poses that fit ``terms``."""
        weight = weight * pose.transl.shape[1]

        def shape_cost(betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return weight * betas.square().sum(), weight * betas, weight * torch.eye(10).to(betas)

        iterations = self.config.shape_iterations
        return minimize_with_shape(self.body, betas, pose, terms, self.skeleton, shape_cost, iterations)

    def poses(self, tracks: Sequence[_Track], betas: Tensor) -> list[Pose]:
        """Return every person's pose, leading dimension T, windows blended where they overlap."""
        cuts = [cut for i, track in enumerate(tracks) for cut in _cuts(i, len(track.time_s), self.config)]
        blends = [_Blend.empty(track) for track in tracks]
        size = max(1, self.config.batch_frames // max(cut.stop - cut.start for cut in cuts))
        for first in range(0, len(cuts), size):
            batch = cuts[first : first + size]
            pose = self._fit_windows([_pick(tracks[c.person], slice(c.start, c.stop)) for c in batch],
                                     betas[[c.person for c in batch]])  # fmt: skip
            for b, cut in enumerate(batch):
                blends[cut.person].add(cut, pose.rotations[b], pose.transl[b], self.config.overlap_frames)
        return [blend.pose() for blend in blends]

    def _fit_windows(self, pieces: Sequence[_Track], betas: Tensor) -> Pose:
        config, shape = self.config, betas[:, None]
        seen = self._windows(pieces)
        pose = Pose(*start_pose(seen.joints, shape, self.body, self.skeleton))
        free = frame_terms(seen, self.at, self.prior, config) + motion_terms(seen, self.at, config)
        terms = [*free, ground_term(seen, self.at, config.touch_sd_m)]
        pose = minimize(self.body, shape, pose, terms, self.skeleton, config.pose_iterations)
        soles = self.body.pose(shape, pose.rotations, pose.transl).soles
        standing = contact_terms(contacts(soles, seen.step_s, config), seen, self.at, config)
        terms = [*free, ground_term(seen, self.at, config.penetration_sd_m), *standing]
        return minimize(self.body, shape, pose, terms, self.skeleton, config.contact_iterations)

    def _windows(self, pieces: Sequence[_Track]) -> Windows:
        """Stack windows; shorter ones repeat their last frame, marked as not valid."""
        longest = max(len(piece.time_s) for piece in pieces)

        def stack(name: str) -> Tensor:
            rows = [getattr(piece, name) for piece in pieces]
            return torch.stack([torch.cat([r, r[-1:].expand(longest - len(r), *r.shape[1:])]) for r in rows])

        valid = [torch.arange(longest, device=p.time_s.device) < len(p.time_s) for p in pieces]
        names = ("joints", "joint_sd", "xy", "xy_weight")
        step = stack("time_s").diff(dim=1)
        return Windows(
            *(stack(name) for name in names),
            step_s=torch.where(step > 0, step, torch.ones_like(step)),
            valid=torch.stack(valid).to(step),
            R_cam=self.R_cam,
            t_cam=self.t_cam,
        )

    def _pinned(self, betas: Tensor) -> Tensor:
        """Return the nearest betas whose stature is the known height, where one is known (Newton; nearly linear)."""
        if self.config.height_m is None:
            return betas
        height = self.body.v_template[:, 1]
        slope = self.body.shapedirs[height.argmax(), 1] - self.body.shapedirs[height.argmin(), 1]
        for _ in range(4):
            betas = betas + slope * (self.config.height_m - stature(self.body, betas)) / slope.square().sum()
        return betas


@dataclass(frozen=True)
class _Blend:
    """Weighted sums of one person's windows: ``rotations (T,24,3,3)``, ``transl (T,3)`` m, ``weight (T)``."""

    rotations: Tensor
    transl: Tensor
    weight: Tensor

    @staticmethod
    def empty(track: _Track) -> _Blend:
        zero, n = track.joints.new_zeros, len(track.time_s)
        return _Blend(zero(n, 24, 3, 3), zero(n, 3), zero(n))

    def add(self, cut: _Cut, rotations: Tensor, transl: Tensor, overlap: int) -> None:
        """Add a window's ``rotations (L,24,3,3)`` and ``transl (L,3)``; weights fall linearly towards a seam."""
        n, total = cut.stop - cut.start, len(self.weight)
        at = torch.arange(n, dtype=transl.dtype, device=transl.device)
        weight = torch.ones_like(at)
        if cut.start > 0:
            weight = torch.minimum(weight, (at + 1) / (overlap + 1))
        if cut.stop < total:
            weight = torch.minimum(weight, (n - at) / (overlap + 1))
        here = slice(cut.start, cut.stop)
        self.rotations[here] += weight[:, None, None, None] * rotations[:n]
        self.transl[here] += weight[:, None] * transl[:n]
        self.weight[here] += weight

    def pose(self) -> Pose:
        rotations = matrix_from_six(six_from_matrix(self.rotations))
        return Pose(rotations[:, 0], rotvec_from_matrix(rotations[:, 1:]), self.transl / self.weight[:, None])


def _cuts(person: int, frames: int, config: FitConfig) -> list[_Cut]:
    """Cut ``frames`` into windows of at most ``window_frames`` that share ``overlap_frames`` with the next."""
    stride = config.window_frames - config.overlap_frames
    starts = range(0, max(1, frames - config.overlap_frames), stride)
    return [_Cut(person, start, min(frames, start + config.window_frames)) for start in starts]


def _pick(track: _Track, index: Tensor | slice) -> _Track:
    return _Track(**{name: value[index] for name, value in vars(track).items()})


def _result(
    motion: Motion3D,
    body: BodyModel,
    betas: Tensor,
    pose: Pose,
    track: _Track,
    frame: CanonicalFrame,
    skeleton: Skeleton,
) -> BodyFit:
    """Move a person's pose from the canonical frame into the site world."""
    posed = body.pose(betas, pose.rotations, pose.transl)
    residual = (keypoints_of(posed, skeleton) - track.joints).square().sum(-1).mean(-1).sqrt()
    R_site = torch.as_tensor(frame.R_canonical_from_site.T)
    global_orient = rotvec_from_matrix(R_site @ pose.R_root.cpu().double())
    rest_pelvis = (body.rest_joints[0] + body.rest_joints_shape[0] @ betas).cpu().double().numpy()
    return BodyFit(
        person=motion.person,
        gender=body.gender,
        betas=betas.cpu().numpy(),
        global_orient=global_orient.numpy(),
        body_pose=pose.rotvec.cpu().numpy(),
        transl=frame.to_site(pose.transl.cpu().double().numpy() + rest_pelvis) - rest_pelvis,
        joints=frame.to_site(posed.joints.cpu().double().numpy()),
        residual=residual.cpu().numpy(),
    )
