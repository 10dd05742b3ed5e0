"""Small anti-aliased text, without a dependence on the machine's fonts."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont


@functools.lru_cache(maxsize=512)
def text_mask(text: str, size_px: int) -> np.ndarray:
    """Return the coverage ``(h,w)`` uint8 of ``text`` in a font of ``size_px``; h does not depend on the text."""
    font = ImageFont.load_default(size_px)
    width = max(1, int(np.ceil(font.getlength(text))))
    height = int(np.ceil(size_px * 1.3))
    image = Image.new("L", (width + 2, height))
    ImageDraw.Draw(image).text((1, height / 2), text, fill=255, font=font, anchor="lm")
    mask = np.asarray(image).copy()
    mask.setflags(write=False)  # shared through the cache
    return mask


def blend(rgb: np.ndarray, mask: np.ndarray, colour: np.ndarray, corner: tuple[int, int], opacity: float = 1.0) -> None:
    """Paint ``colour (C)`` 0..255 on ``rgb (H,W,C)`` uint8 in place through ``mask (h,w)`` uint8 at ``corner`` px.

    ``corner`` (x, y) is the mask's top-left pixel; what falls outside the image is cut off.
    """
    x, y = corner
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], rgb.shape[1]), min(y + mask.shape[0], rgb.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    weight = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.float32) * (opacity / 255.0)
    patch = rgb[y0:y1, x0:x1]
    patch[...] = np.rint(patch + weight * (np.asarray(colour, np.float32) - patch)).astype(np.uint8)


def cover(rgb: np.ndarray, drawn: np.ndarray, alpha: np.ndarray) -> None:
    """Lay ``drawn (h,w,3)``, already multiplied by its ``alpha (h,w)``, over ``rgb (h,w,3)`` in place; all uint8.

    Integer arithmetic: a pixel where alpha is 0 keeps its value, another is within 1 level of the exact sum.
    """
    left = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB)
    rgb[...] = cv2.add(cv2.multiply(rgb, left, scale=1 / 255), drawn)


def draw_text(
    rgb: np.ndarray,
    text: str,
    at: tuple[float, float],
    size_px: int,
    colour: np.ndarray,
    *,
    anchor: tuple[float, float] = (0.0, 0.5),
    opacity: float = 1.0,
) -> None:
    """Write ``text`` on ``rgb (H,W,C)`` uint8 in place; ``anchor`` is the part of the text's box that lies ``at`` px:
    (0, 0) its top left, (0.5, 0.5) its middle. ``colour (C)`` 0..255.
    """
    mask = text_mask(text, size_px)
    corner = (round(at[0] - anchor[0] * mask.shape[1]), round(at[1] - anchor[1] * mask.shape[0]))
    blend(rgb, mask, colour, corner, opacity)


@functools.lru_cache(maxsize=256)
def pill_mask(width: int, height: int) -> np.ndarray:
    """Return the coverage ``(height,width)`` uint8 of a rectangle with round ends."""
    scale = 4
    image = Image.new("L", (width * scale, height * scale))
    box = (0, 0, width * scale - 1, height * scale - 1)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=height * scale // 2, fill=255)
    mask = np.asarray(image.resize((width, height), Image.Resampling.BOX)).copy()
    mask.setflags(write=False)
    return mask
