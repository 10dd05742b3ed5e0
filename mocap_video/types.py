"""The values that pass between stages: frozen dataclasses of numpy arrays, checked on construction.

Letters in shapes: T frames, J joints, V views. Frames of reference and the meaning of pixels are in
``docs/conventions.md``. A missing keypoint is NaN with score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from mocap_video.skeletons import SKELETONS

DistortionModel = Literal["none", "opencv", "fisheye"]
COEFFICIENTS: dict[str, int] = {"none": 0, "opencv": 5, "fisheye": 4}


def _check(name: str, array: np.ndarray, shape: tuple[int | None, ...], *, finite: bool = False) -> None:
    """Raise ``ValueError`` unless ``array`` has ``shape`` (None: any length) and, if asked, only finite numbers."""
    fits = array.ndim == len(shape) and all(e is None or e == g for e, g in zip(shape, array.shape, strict=True))
    if not fits:
        expected = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def _check_times(name: str, frames: np.ndarray, time_s: np.ndarray) -> None:
    _check(f"{name}.time_s", time_s, (len(frames),), finite=True)
    if (np.diff(frames) <= 0).any() or (np.diff(time_s) <= 0).any():
        raise ValueError(f"{name}: frames and time_s must increase strictly")


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    ``size`` (W, H) px as displayed, rotation metadata applied. ``rate`` nominal frames a second; the truth is
    ``time_s (T)``: presentation times in seconds from the first frame, strictly increasing.
    """

    path: Path
    size: tuple[int, int]
    rate: Fraction
    time_s: np.ndarray
    rotation_deg: int = 0

    def __post_init__(self) -> None:
        _check("VideoInfo.time_s", self.time_s, (None,), finite=True)

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``index`` counts from 0 over the whole file, ``time_s`` s as in ``VideoInfo.time_s``,
    ``rgb (H,W,3)`` uint8, upright (rotation metadata applied).
    """

    index: int
    time_s: float
    rgb: np.ndarray


@dataclass(frozen=True)
class Yuv420:
    """A picture as H.264 stores it: BT.709, 8 bits of limited range, colour at half the size in each direction.

    ``data (3H/2,W)`` uint8, contiguous: H rows of luma, then both colour planes one behind the other. H and W are even;
    of a picture with an odd side the last row or column is there twice.
    """

    data: np.ndarray

    def __post_init__(self) -> None:
        rows, width = self.data.shape
        if rows % 3 or width % 2 or self.data.dtype != np.uint8 or not self.data.flags.c_contiguous:
            raise ValueError(
                f"Yuv420.data: expected (3H/2, W) uint8, H and W even, got {self.data.shape} {self.data.dtype}"
            )

    @staticmethod
    def empty(size: tuple[int, int]) -> Yuv420:
        """Return a picture of ``size`` (W, H) px, odd sides made even, with nothing in it yet."""
        width, height = (side + side % 2 for side in size)
        return Yuv420(np.empty((height * 3 // 2, width), np.uint8))

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) px."""
        rows, width = self.data.shape
        return width, rows * 2 // 3

    @property
    def planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Luma ``(H,W)`` and both colours ``(H/2,W/2)``: views, so what is written to them is in the picture."""
        width, height = self.size
        luma, colour = width * height, width * height // 4
        flat = self.data.reshape(-1)
        u, v = (flat[start : start + colour] for start in (luma, luma + colour))
        half = (height // 2, width // 2)
        return flat[:luma].reshape(height, width), u.reshape(half), v.reshape(half)


@dataclass(frozen=True)
class StoredFrame:
    """A decoded picture that stayed as it was stored: ``index`` and ``time_s`` as in ``Frame``, ``picture`` upright."""

    index: int
    time_s: float
    picture: Yuv420


@dataclass(frozen=True)
class Camera:
    """A fixed calibrated camera in OpenCV's convention: ``x_cam = R_cam_from_world @ x_world + t_cam_from_world``.

    ``K (3,3)`` px for an image of ``size`` (W, H) px whose top-left pixel centre is (0, 0). ``distortion`` names the
    model of ``coeffs``: none (), opencv (k1, k2, p1, p2, k3), fisheye (k1..k4). ``t_cam_from_world (3)`` metres.
    """

    K: np.ndarray
    R_cam_from_world: np.ndarray
    t_cam_from_world: np.ndarray
    size: tuple[int, int]
    distortion: DistortionModel = "none"
    coeffs: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        _check("Camera.K", self.K, (3, 3), finite=True)
        _check("Camera.R_cam_from_world", self.R_cam_from_world, (3, 3), finite=True)
        _check("Camera.t_cam_from_world", self.t_cam_from_world, (3,), finite=True)
        if self.distortion not in COEFFICIENTS:
            raise ValueError(f"Camera.distortion: expected one of {sorted(COEFFICIENTS)}, got {self.distortion!r}")
        _check("Camera.coeffs", self.coeffs, (COEFFICIENTS[self.distortion],), finite=True)

    @property
    def center_world(self) -> np.ndarray:
        """Optical centre ``(3)`` in the site world, metres."""
        return -self.R_cam_from_world.T @ self.t_cam_from_world

    def resized(self, size: tuple[int, int]) -> Camera:
        """Return the camera of the same image resampled to ``size`` (W, H); pixel centres move by (k + 0.5) s - 0.5."""
        scale = np.array([size[0] / self.size[0], size[1] / self.size[1], 1.0])
        K = self.K.copy()
        K[:2, 2] += 0.5
        K = K * scale[:, None]
        K[:2, 2] -= 0.5
        return replace(self, K=K, size=size)

    def cropped(self, x: float, y: float, size: tuple[int, int]) -> Camera:
        """Return the camera of the crop of ``size`` (W, H) whose top-left pixel centre was at ``(x, y)`` px."""
        K = self.K.copy()
        K[0, 2] -= x
        K[1, 2] -= y
        return replace(self, K=K, size=size)


@dataclass(frozen=True)
class GroundPlane:
    """The ground ``normal . x + offset = 0`` in the site world; ``normal (3)`` is a unit vector and points up."""

    normal: np.ndarray
    offset: float

    def __post_init__(self) -> None:
        _check("GroundPlane.normal", self.normal, (3,), finite=True)
        length = float(np.linalg.norm(self.normal))
        if abs(length - 1.0) > 1e-6:
            raise ValueError(f"GroundPlane.normal: expected length 1, got {length:.6f}")

    def height_of(self, points: np.ndarray) -> np.ndarray:
        """Return the signed height ``(...)`` in metres of ``points (..., 3)`` in the site world above the ground."""
        return points @ self.normal + self.offset


@dataclass(frozen=True)
class Calibration:
    """What cam.yaml says: the camera, the ground, and where the numbers came from."""

    camera: Camera
    ground: GroundPlane
    name: str = ""
    source: str = ""
    reprojection_error_px: float | None = None


@dataclass(frozen=True)
class GroundPointmap:
    """``points (H', W', 3)`` m, canonical frame: where each cell's ray meets the ground; NaN above the horizon."""

    points: np.ndarray

    def __post_init__(self) -> None:
        _check("GroundPointmap.points", self.points, (None, None, 3))


@dataclass(frozen=True)
class Track:
    """One person's boxes. ``frames (T)`` frame numbers; ``box_xyxy (T,4)`` px of the original image; ``score (T)``."""

    person: int
    frames: np.ndarray
    box_xyxy: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.frames)
        _check("Track.box_xyxy", self.box_xyxy, (n, 4))
        _check("Track.score", self.score, (n,), finite=True)


@dataclass(frozen=True)
class Keypoints2D:
    """One person's keypoints in the original image.

    ``frames (T)`` frame numbers and ``time_s (T)`` seconds, strictly increasing, without gaps where the person is seen
    or bridged; ``xy (T,J,2)`` px (NaN where missing); ``score (T,J)`` in [0, 1], 0 where missing.
    """

    person: int
    skeleton: str
    frames: np.ndarray
    time_s: np.ndarray
    xy: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        joints = len(SKELETONS[self.skeleton])
        _check_times("Keypoints2D", self.frames, self.time_s)
        _check("Keypoints2D.xy", self.xy, (len(self.frames), joints, 2))
        _check("Keypoints2D.score", self.score, (len(self.frames), joints), finite=True)
        if ((self.score > 0) & ~np.isfinite(self.xy).all(-1)).any():
            raise ValueError("Keypoints2D: a keypoint with a positive score must have finite xy")

    @property
    def seen(self) -> np.ndarray:
        """``(T)`` bool: any joint was detected in the frame."""
        return np.asarray((self.score > 0).any(-1))


@dataclass(frozen=True)
class Motion3D:
    """One person's lifted joints: ``joints (T,J,3)`` m in the site world, ``spread (T,J)`` m (error to expect)."""

    person: int
    skeleton: str
    frames: np.ndarray
    time_s: np.ndarray
    joints: np.ndarray
    spread: np.ndarray

    def __post_init__(self) -> None:
        joints = len(SKELETONS[self.skeleton])
        _check_times("Motion3D", self.frames, self.time_s)
        _check("Motion3D.joints", self.joints, (len(self.frames), joints, 3), finite=True)
        _check("Motion3D.spread", self.spread, (len(self.frames), joints), finite=True)


@dataclass(frozen=True)
class BodyFit:
    """One person's body: ``betas (10)``; rotation vectors ``global_orient (T,3)`` and ``body_pose (T,23,3)`` in rad;
    ``transl (T,3)`` m, all in the site world's axes; ``joints (T,24,3)`` posed SMPL-24 joints, m, site world;
    ``residual (T)`` m, root-mean-square distance of the body's keypoints from the lifted joints.
    """

    person: int
    gender: str
    betas: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    transl: np.ndarray
    joints: np.ndarray
    residual: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.transl)
        _check("BodyFit.betas", self.betas, (10,), finite=True)
        _check("BodyFit.global_orient", self.global_orient, (n, 3), finite=True)
        _check("BodyFit.body_pose", self.body_pose, (n, 23, 3), finite=True)
        _check("BodyFit.transl", self.transl, (n, 3), finite=True)
        _check("BodyFit.joints", self.joints, (n, 24, 3), finite=True)
        _check("BodyFit.residual", self.residual, (n,), finite=True)


@dataclass(frozen=True)
class PersonTrack:
    """What the detectors hand on for one person: the boxes and the keypoints, over the same frames."""

    track: Track
    keypoints: Keypoints2D


@dataclass(frozen=True)
class Person:
    """Everything known of one person; the parts share their frames."""

    keypoints: Keypoints2D
    motion: Motion3D
    body: BodyFit


@dataclass(frozen=True)
class ClipResult:
    """The result for one clip; ``start_s``: seconds into the video that were asked to begin at.

    ``people`` of a long one are read from disk when asked for: take one at a time.
    """

    video: VideoInfo
    calibration: Calibration
    people: Sequence[Person]
    provenance: dict[str, object]
    start_s: float = 0.0
