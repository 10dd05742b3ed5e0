"""The demo's site without people: paved yard, lawn, boxes, sky, in sunlight; ray-cast once through the real lens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mocap_video.calib import geometry
from mocap_video.calib.ground import CanonicalFrame
from mocap_video.types import Camera

SUN = np.array([0.50, 0.76, -0.42]) / np.linalg.norm([0.50, 0.76, -0.42])
"""Direction to the sun in the canonical frame: high, behind the camera's left shoulder, so people are lit in front."""

SUN_COLOUR = np.array([1.00, 0.95, 0.86]) * 1.05
SKY_COLOUR = np.array([0.62, 0.72, 0.86]) * 0.62
"""Linear light from the sun and, averaged over the sky, on a surface that faces up."""

_HAZE = np.array([0.66, 0.73, 0.80], np.float32)
_HAZE_M, _HAZE_MOST = 150.0, 0.6
_HORIZON_M = 2000.0
_LATTICE = 256
_RAYS_PER_PIXEL_SIDE = 2
_BAND_ROWS = 64
_JOINT_M = 0.02


@dataclass(frozen=True)
class Box:
    """An upright box on the canonical ground: corners ``low`` and ``high`` (x, y, z) m; ``colour`` linear RGB."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: tuple[float, float, float]


YARD = (
    Box((-16.0, 0.0, 19.0), (3.5, 3.4, 21.0), (0.42, 0.36, 0.30)),
    Box((4.5, 0.0, 17.0), (11.0, 2.5, 19.5), (0.16, 0.26, 0.33)),
    Box((5.2, 0.0, 11.0), (6.4, 1.2, 12.2), (0.44, 0.30, 0.17)),
    Box((6.6, 0.0, 11.3), (7.6, 0.8, 12.3), (0.40, 0.27, 0.15)),
    Box((-7.6, 0.0, 9.5), (-7.2, 1.0, 15.0), (0.46, 0.46, 0.45)),
)


@dataclass(frozen=True)
class Backdrop:
    """``light (H,W,3)`` float32 linear RGB; ``depth (H,W)`` float32 m, infinite in the sky; ``ground (H,W)`` float32:
    how much of the pixel is sunlit ground, 0..1.
    """

    light: np.ndarray
    depth: np.ndarray
    ground: np.ndarray


def render_backdrop(camera: Camera, frame: CanonicalFrame, seed: int, boxes: tuple[Box, ...] = YARD) -> Backdrop:
    """Return what ``camera`` sees of the site with nobody there."""
    width, height = camera.size
    noise = _Noise(np.random.default_rng(seed))
    light = np.empty((height, width, 3), np.float32)
    depth = np.empty((height, width), np.float32)
    ground = np.empty((height, width), np.float32)
    for start in range(0, height, _BAND_ROWS):  # in bands, to bound the memory
        end = min(start + _BAND_ROWS, height)
        rays, outside = _rays(camera, frame, start, end)
        band_light, band_depth, band_ground = _cast(rays, camera, frame, noise, boxes)
        band_light[outside] = 0.0
        finer = (end - start, _RAYS_PER_PIXEL_SIDE, width, _RAYS_PER_PIXEL_SIDE)
        light[start:end] = band_light.reshape(*finer, 3).mean((1, 3))
        depth[start:end] = band_depth.reshape(finer).min((1, 3))
        ground[start:end] = band_ground.reshape(finer).mean((1, 3))
    return Backdrop(light, depth, ground)


def _rays(camera: Camera, frame: CanonicalFrame, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return directions ``(h,w,3)`` in the canonical frame, several a pixel, of rows ``start`` to ``end`` of the image,
    scaled so that depth along them is 1; and ``(h,w)`` bool: outside what the lens shows.
    """
    pixels = np.stack(np.meshgrid(np.arange(camera.size[0]), np.arange(start, end)), -1).astype(np.float64)
    ideal = geometry.normalized_from_pixels(torch.as_tensor(pixels), camera)
    outside = ~torch.isfinite(ideal).all(-1).numpy()
    side = _RAYS_PER_PIXEL_SIDE
    # A lens is smooth: within a pixel its rays are interpolated.
    finer = cv2.resize(torch.nan_to_num(ideal).numpy(), None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR)
    R, _ = frame.camera(camera)
    rays = geometry.ray_directions(torch.as_tensor(finer), torch.as_tensor(R)).numpy().astype(np.float32)
    return rays, outside.repeat(side, 0).repeat(side, 1)


class _Noise:
    """Smooth repeatable noise over the plane, about -1..1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice = rng.uniform(-1, 1, (_LATTICE, _LATTICE)).astype(np.float32)

    def at(self, xz: np.ndarray, wavelength_m: float, footprint_m: np.ndarray) -> np.ndarray:
        """Return ``(...)`` noise at ``xz (...,2)`` m, faded where a pixel's footprint ``(...)`` m would alias it."""
        turns = xz * np.float32(1.0 / (wavelength_m * _LATTICE)) + np.float32(0.5)
        uv = (turns - np.floor(turns)) * np.float32(_LATTICE)
        u, v = (np.ascontiguousarray(c.reshape(len(c), -1)) for c in (uv[..., 0], uv[..., 1]))
        value = cv2.remap(self._lattice, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
        return value.reshape(xz.shape[:-1]) * np.clip(1.5 - 2.0 * footprint_m / wavelength_m, 0, 1)


def _extent(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rows and columns of ``mask (h,w)`` bool that hold something, None for an empty mask."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _cast(
    rays: np.ndarray, camera: Camera, frame: CanonicalFrame, noise: _Noise, boxes: tuple[Box, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return light ``(h,w,3)``, depth ``(h,w)`` m and sunlit ground ``(h,w)`` along ``rays (h,w,3)``."""
    R, t = frame.camera(camera)
    eye = (-R.T @ t).astype(np.float32)
    reach = np.sqrt((rays * rays).sum(-1))
    with np.errstate(divide="ignore"):
        distance = -eye[1] / rays[..., 1]
    on_ground = (distance > 0) & (distance < _HORIZON_M)
    depth = np.where(on_ground, distance, np.float32(np.inf))
    light = np.zeros_like(rays)
    sunlit = np.zeros_like(reach)
    part = _extent(~on_ground)
    if part is not None:
        light[part] = _sky(rays[part] / reach[part][..., None], noise)
    part = _extent(on_ground)
    if part is not None:
        inside = on_ground[part]
        length = np.where(inside, distance[part], np.float32(1.0))
        points = eye + rays[part] * length[..., None]
        across = length / np.float32(camera.K[0, 0])
        along = np.maximum(across * length * reach[part] / max(eye[1], np.float32(0.3)), across)
        sunlit[part] = inside & _sunlit(points, boxes)
        albedo = _ground_albedo(points[..., [0, 2]], across, along, noise)
        lit = albedo * (sunlit[part][..., None] * (SUN[1] * SUN_COLOUR) + SKY_COLOUR).astype(np.float32)
        light[part] = np.where(inside[..., None], lit, light[part])
    for box in boxes:
        _add_box(box, eye, rays, depth, light, sunlit, noise)
    haze = _HAZE_MOST * (1.0 - np.exp(-np.where(np.isfinite(depth), depth, 0.0) * reach / _HAZE_M))
    light += (_HAZE - light) * haze[..., None]
    return light, depth, sunlit


def _ground_albedo(xz: np.ndarray, across: np.ndarray, along: np.ndarray, noise: _Noise) -> np.ndarray:
    """Return the linear colour ``(...,3)`` of the ground at ``xz (...,2)`` m: slabs of concrete, then grass.

    ``across`` and ``along (...)`` m are how wide and how deep the pixel's footprint on the ground is.
    """
    size = np.sqrt(across * along)
    octaves = ((3.1, 0.35), (0.9, 0.25), (0.21, 0.2), (0.05, 0.3), (0.018, 0.35))
    grain = np.zeros(xz.shape[:-1], np.float32)
    for number, (wavelength, weight) in enumerate(octaves):
        grain += weight * noise.at(xz + np.float32(17.0 * number), wavelength, size)
    stain = np.clip(noise.at(xz + np.float32(91.0), 2.2, size), 0, 1) ** 2
    slab = np.floor(xz / 2.0)
    tone = 0.05 * np.sin(slab[..., 0] * 12.9898 + slab[..., 1] * 78.233)
    shade = 1.0 + 0.22 * grain + tone - 0.22 * stain
    for axis, footprint in ((0, across), (1, along)):
        away = np.abs(xz[..., axis] - 2.0 * np.round(xz[..., axis] / 2.0))
        width = np.maximum(_JOINT_M, footprint)
        shade *= 1.0 - 0.55 * np.clip(1.5 - 2.0 * away / width, 0, 1) * (_JOINT_M / width)
    concrete = np.array([0.34, 0.33, 0.31], np.float32) * shade[..., None]
    blades = noise.at(xz + np.float32(5.0), 0.03, size) + 0.7 * noise.at(xz + np.float32(31.0), 0.11, size)
    patches = noise.at(xz + np.float32(57.0), 1.7, size) + 0.6 * noise.at(xz + np.float32(3.0), 6.0, size)
    grass = np.array([0.10, 0.17, 0.045], np.float32) * (1.0 + 0.35 * blades + 0.22 * patches)[..., None]
    ragged = 0.12 * noise.at(xz, 0.5, size) + 0.05 * noise.at(xz, 0.13, size)
    beyond = np.maximum(np.abs(xz[..., 0]) - 8.0, xz[..., 1] - 16.0) + ragged
    share = np.clip(0.5 + beyond / np.maximum(0.05, size), 0, 1)[..., None]
    return np.clip(concrete + (grass - concrete) * share, 0.01, 1.0)


def _sky(directions: np.ndarray, noise: _Noise) -> np.ndarray:
    """Return the light ``(...,3)`` that comes from unit ``directions (...,3)``: sky, clouds, a line of trees."""
    height = np.clip(directions[..., 1], 0, 1)[..., None]
    blue = np.array([0.26, 0.44, 0.76], np.float32)
    sky = _HAZE * 1.12 + (blue - _HAZE * 1.12) * height**0.5
    overhead = directions[..., [0, 2]] / (height + np.float32(0.12))
    sharp = np.full(height.shape[:-1], 1e-3, np.float32)
    cloud = noise.at(overhead, 1.3, sharp) + 0.5 * noise.at(overhead, 0.5, sharp) + 0.3 * noise.at(overhead, 0.2, sharp)
    sky = sky + (0.92 - sky) * (np.clip(cloud * 0.8, 0, 0.75) * np.clip(height[..., 0] * 6, 0, 1))[..., None]
    heading = np.arctan2(directions[..., 0], directions[..., 2])
    around = np.stack([heading, np.zeros_like(heading)], -1)
    crowns = 0.045 + 0.02 * noise.at(around, 0.11, sharp) + 0.010 * noise.at(around, 0.023, sharp)
    trees = np.clip((crowns - directions[..., 1]) / 0.0025, 0, 1)[..., None]
    green = np.array([0.10, 0.15, 0.08]) * (1.0 + 0.4 * noise.at(directions[..., :2], 0.015, sharp))[..., None]
    return sky + (green * 0.8 + _HAZE * 0.10 - sky) * trees


def _slab(box: Box, origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where rays enter and leave ``box``, in units of ``direction (...,3)``, and the entered face's axis."""
    shape = np.broadcast_shapes(origin.shape, direction.shape)[:-1]
    enter = np.full(shape, -np.inf, np.float32)
    leave = np.full(shape, np.inf, np.float32)
    entered = np.zeros(shape, np.uint8)
    for axis in range(3):
        with np.errstate(divide="ignore", invalid="ignore"):
            first = (np.float32(box.low[axis]) - origin[..., axis]) / direction[..., axis]
            second = (np.float32(box.high[axis]) - origin[..., axis]) / direction[..., axis]
        near = np.minimum(first, second)
        entered[near > enter] = axis
        enter = np.maximum(enter, near)
        leave = np.minimum(leave, np.maximum(first, second))
    return enter, leave, entered


def _sunlit(points: np.ndarray, boxes: tuple[Box, ...]) -> np.ndarray:
    """Return ``(...)`` bool: whether ``points (...,3)`` m see the sun past the ``boxes``."""
    lit = np.ones(points.shape[:-1], bool)
    for box in boxes:
        enter, leave, _ = _slab(box, points, SUN.astype(np.float32))
        lit &= (leave <= enter) | (leave < 1e-4)
    return lit


def _add_box(
    box: Box,
    eye: np.ndarray,
    rays: np.ndarray,
    depth: np.ndarray,
    light: np.ndarray,
    sunlit: np.ndarray,
    noise: _Noise,
) -> None:
    """Put ``box`` in front of what lies behind it: ``depth``, ``light`` and sunlit ground change in place."""
    enter, leave, axis = _slab(box, eye, rays)
    hit = (leave > enter) & (enter > 0) & (enter < depth)
    part = _extent(hit)
    if part is None:
        return
    hit, enter, axis = hit[part], np.where(hit[part], enter[part], np.float32(1.0)), axis[part]
    points = eye + rays[part] * enter[..., None]
    normal = -np.sign(rays[part]) * np.eye(3, dtype=np.float32)[axis]
    wall = np.where((axis == 0)[..., None], points[..., [2, 1]], points[..., [0, 1]])
    footprint = enter / 1000.0
    texture = 1.0 + 0.12 * noise.at(wall, 0.9, footprint) + 0.10 * noise.at(wall, 0.07, footprint)
    ribs = 1.0 + 0.06 * np.sign(np.sin(wall[..., 0] * 2 * np.pi / 0.3))
    sun = np.clip(normal @ SUN, 0, 1)[..., None] * SUN_COLOUR
    sky = (0.55 + 0.45 * normal[..., 1:2]) * SKY_COLOUR
    near_ground = 1.0 - 0.35 * np.exp(-np.maximum(points[..., 1:2], 0) / 0.15)
    lit = np.array(box.colour) * (texture * ribs)[..., None] * (sun + sky * near_ground)
    light[part] = np.where(hit[..., None], lit, light[part])
    depth[part] = np.where(hit, enter, depth[part])
    sunlit[part] = np.where(hit, 0.0, sunlit[part])
