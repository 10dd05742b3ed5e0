"""Clothes for the demo's person: a colour for each vertex of a body in SMPL's layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mocap_video.skeletons import COCO17, SMPL24

_HANDS = ("left_wrist", "right_wrist", "left_hand", "right_hand")


@dataclass(frozen=True)
class Outfit:
    """Colours, each RGB 0..1."""

    skin: tuple[float, float, float] = (0.80, 0.60, 0.48)
    lips: tuple[float, float, float] = (0.62, 0.32, 0.29)
    hair: tuple[float, float, float] = (0.16, 0.11, 0.08)
    shirt: tuple[float, float, float] = (0.72, 0.20, 0.17)
    trousers: tuple[float, float, float] = (0.16, 0.21, 0.33)
    belt: tuple[float, float, float] = (0.09, 0.07, 0.06)
    shoes: tuple[float, float, float] = (0.13, 0.13, 0.14)
    soles: tuple[float, float, float] = (0.55, 0.55, 0.54)


def clothed_colours(
    template: np.ndarray, weights: np.ndarray, joints: np.ndarray, landmarks: np.ndarray, outfit: Outfit | None = None
) -> np.ndarray:
    """Return a colour ``(N,3)`` RGB 0..1 for each vertex: short sleeves, long trousers, shoes, hair and a face.

    All in the template's frame (+X the body's left, +Y up, +Z forward, T-pose, m): ``template (N,3)`` vertices,
    ``weights (N,24)`` skinning weights, ``joints (24,3)`` in SMPL-24's order, ``landmarks (17,3)`` in COCO-17's.
    """
    wear = outfit or Outfit()
    x, y, _ = template.T
    owner = weights.argmax(1)

    def owned_by(*names: str) -> np.ndarray:
        return np.isin(owner, [SMPL24.index(name) for name in names])

    def joint(name: str) -> np.ndarray:
        return joints[SMPL24.index(name)]

    colours = np.tile(np.array(wear.shirt), (len(template), 1))
    shoulder, elbow = abs(joint("left_shoulder")[0]), abs(joint("left_elbow")[0])
    bare_arm = np.abs(x) > shoulder + 0.68 * (elbow - shoulder)
    collar = joint("neck")[1] - 0.03 + 0.3 * np.abs(x)
    bare_neck = (y > collar) & (np.abs(x) < 0.12)
    colours[(bare_arm & (y > joint("pelvis")[1] + 0.1)) | bare_neck | owned_by(*_HANDS)] = wear.skin
    waist = joint("pelvis")[1] + 0.045
    colours[y < waist] = wear.trousers
    colours[np.abs(y - waist) < 0.018] = wear.belt
    in_shoe = y < joint("left_ankle")[1] + 0.02
    colours[in_shoe] = wear.shoes
    colours[in_shoe & (y < y.min() + 0.018)] = wear.soles
    _paint_head(colours, template, owned_by("head", "neck"), landmarks, wear)
    return colours


def _paint_head(
    colours: np.ndarray, template: np.ndarray, head: np.ndarray, landmarks: np.ndarray, wear: Outfit
) -> None:
    """Paint hair, eyes, brows and lips on ``colours (N,3)`` in place; ``head (N)`` bool."""
    x, y, z = template.T
    nose, left_eye, right_eye, left_ear = landmarks[
        [COCO17.index(n) for n in ("nose", "left_eye", "right_eye", "left_ear")]
    ]
    brow_line = left_eye[1] + 0.062 - 0.25 * np.abs(x - nose[0])
    behind = z < left_ear[2] + 0.012
    colours[head & ((y > brow_line) | (behind & (y > nose[1] - 0.045)))] = wear.hair
    ear = np.linalg.norm((template * [0, 1, 1] - left_ear * [0, 1, 1]), axis=1) < 0.034
    colours[head & ear & (np.abs(x) > abs(left_ear[0]) - 0.012)] = wear.skin
    front = head & (z > left_eye[2] - 0.045)
    for eye in (left_eye, right_eye):
        away = np.hypot(x - eye[0], (y - eye[1]) * 1.5)
        colours[front & (away < 0.0175)] = (0.90, 0.88, 0.86)
        colours[front & (away < 0.0085)] = (0.12, 0.08, 0.06)
        brow = (np.abs(y - eye[1] - 0.022) < 0.004) & (np.abs(x - eye[0]) < 0.022)
        colours[front & brow] = wear.hair
    mouth = (np.abs(y - nose[1] + 0.037) < 0.009) & (np.abs(x - nose[0]) < 0.026)
    colours[front & mouth] = wear.lips
