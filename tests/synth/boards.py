"""Calibration boards as a known camera sees them: through its lens, anti-aliased, blurred and noisy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from mocap_video.calib import geometry
from mocap_video.calib.board import Board
from mocap_video.types import Calibration, Camera

_PAPER, _INK, _ROOM = 225.0, 25.0, 120.0
_TEXEL_PX = 60
_STEP_PX = 2
"""Pixels of the board's drawing to a square."""


@dataclass(frozen=True)
class BoardPose:
    """``R_cam_from_board (3,3)`` and ``t_cam_from_board (3)`` m, in the board's frame of ``Board.points``."""

    R: np.ndarray
    t: np.ndarray


class BoardPhotographer:
    """Renders ``board`` as the lens of ``camera`` sees it, ``fine`` x ``fine`` rays a pixel."""

    def __init__(self, board: Board, camera: Camera, *, fine: int = 3) -> None:
        self._board, self._size = board, camera.size
        self._rays = _rays(camera, fine)
        self._drawing = drawing(board)

    def picture(
        self, pose: BoardPose, rng: np.random.Generator, *, blur_px: float = 0.7, noise: float = 3.0
    ) -> np.ndarray:
        """Return the grey picture ``(H,W)`` uint8; blur and noise (grey levels) as standard deviations."""
        normal, down = pose.R[:, 2].astype(np.float32), float(pose.R[:, 2] @ pose.t)
        u, v = self._rays[..., 0], self._rays[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = down / (u * normal[0] + v * normal[1] + normal[2])
            point = [
                u * depth - np.float32(pose.t[0]),
                v * depth - np.float32(pose.t[1]),
                depth - np.float32(pose.t[2]),
            ]
            x, y = (sum(np.float32(pose.R[i, axis]) * point[i] for i in range(3)) for axis in (0, 1))
        texel = _TEXEL_PX / self._board.square_m
        column = (np.asarray(x) + 2 * self._board.square_m) * texel - 0.5
        row = ((self._board.rows + 1) * self._board.square_m - np.asarray(y)) * texel - 0.5
        seen = np.isfinite(column + row) & (depth > 0)
        column, row = (np.where(seen, a, -1e4).astype(np.float32) for a in (column, row))
        grey = cv2.remap(
            self._drawing, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_ROOM
        )
        grey = cv2.resize(grey, self._size, interpolation=cv2.INTER_AREA)
        if blur_px > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), blur_px)
        return np.clip(np.rint(grey + noise * rng.normal(size=grey.shape)), 0, 255).astype(np.uint8)


def _rays(camera: Camera, fine: int) -> np.ndarray:
    """Return the normalised coordinates ``(fine H,fine W,2)`` of every ray, interpolated: a lens is smooth."""
    coarse = [torch.arange(-_STEP_PX, side + 2 * _STEP_PX, _STEP_PX, dtype=torch.float64) for side in camera.size]
    known = geometry.normalized_from_pixels(torch.stack(torch.meshgrid(*coarse, indexing="xy"), -1), camera).numpy()
    for axis, side in ((1, camera.size[0]), (0, camera.size[1])):
        at = ((np.arange(side * fine) + 0.5) / fine - 0.5) / _STEP_PX + 1
        before = at.astype(int)
        share = (at - before).reshape([-1 if i == axis else 1 for i in range(3)])
        known = known.take(before, axis) * (1 - share) + known.take(before + 1, axis) * share
    return known.astype(np.float32)


def drawing(board: Board) -> np.ndarray:
    """Return the board printed on paper ``(h,w)`` float32: its squares and a margin of one square around them."""
    columns, rows = board.columns + 1, board.rows + 1
    if board.charuco is not None:
        inner = board.charuco.board(board).generateImage((columns * _TEXEL_PX, rows * _TEXEL_PX), marginSize=0)
        grey = _INK + (_PAPER - _INK) * inner.astype(np.float32) / 255
    else:
        odd = (np.arange(rows)[:, None] + np.arange(columns)) % 2
        grey = np.kron(np.where(odd, _PAPER, _INK), np.ones((_TEXEL_PX, _TEXEL_PX))).astype(np.float32)
    return np.pad(grey, _TEXEL_PX, constant_values=_PAPER)


def held_up(board: Board, camera: Camera, rng: np.random.Generator, *, tilt_deg: float = 40.0) -> BoardPose:
    """Return a pose as of a board that somebody moves about before ``camera``: whole in the picture, turned at will."""
    middle = board.points.mean(0)
    corners = board.points[[0, board.columns - 1, -board.columns, -1]]
    corners = middle + 1.25 * (corners - middle)
    for _ in range(5000):
        at = rng.uniform(0.08, 0.92, 2) * camera.size
        ray = geometry.normalized_from_pixels(torch.from_numpy(at[None]), camera)[0].numpy()
        if not np.isfinite(ray).all():
            continue
        ray = np.append(ray, 1) / np.hypot(np.linalg.norm(ray), 1)
        facing = _facing(ray)
        axis = rng.normal(size=2)
        turn = np.append(axis / np.linalg.norm(axis), 0) * np.radians(rng.uniform(0.2, 1) * tilt_deg)
        spin = Rotation.from_rotvec([0, 0, np.radians(rng.uniform(-25, 25))])
        R = facing @ (Rotation.from_rotvec(turn) * spin).as_matrix()
        width = board.square_m * (board.columns + 2)
        away = width * camera.K[0, 0] / camera.size[0] / rng.uniform(0.25, 0.7)
        pose = BoardPose(R, away * ray - R @ middle)
        if _whole(corners, pose, camera):
            return pose
    raise AssertionError("no pose of the board is wholly in the picture")


def _facing(ray: np.ndarray) -> np.ndarray:
    """Return the rotation of a board whose printed face looks back along ``ray``, upright."""
    z = -ray
    x = np.cross([0.0, -1.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], -1)


def _whole(corners: np.ndarray, pose: BoardPose, camera: Camera) -> bool:
    at_origin = Camera(camera.K, pose.R, pose.t, camera.size, camera.distortion, camera.coeffs)
    xy, valid = geometry.project(torch.from_numpy(corners), at_origin)
    size = torch.tensor(camera.size)
    return bool((valid[:, None] & (xy > 4) & (xy < size - 5)).all())


def lying(board: Board, calibration: Calibration, ahead_m: float, yaw_deg: float = 0.0) -> BoardPose:
    """Return the pose of a board that lies on the ground of a mount's camera, its middle ``ahead_m`` before it."""
    camera = calibration.camera
    R_site_from_board = Rotation.from_euler("z", yaw_deg, degrees=True).as_matrix()
    middle = np.array([0.0, ahead_m, 0.0]) - R_site_from_board @ board.points.mean(0)
    return BoardPose(
        camera.R_cam_from_world @ R_site_from_board, camera.R_cam_from_world @ middle + camera.t_cam_from_world
    )
