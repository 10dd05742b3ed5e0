"""Small pictures for the list of the review: a clip's, and each person's cut out of it."""

from __future__ import annotations

import io
import logging
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from mocap_video.errors import MocapVideoError

logger = logging.getLogger(__name__)

CLIP_PX = (224, 126)
PERSON_PX = (96, 126)

_AT_ONCE = threading.Semaphore(2)  # decoding more than that at a time starves the page itself


def thumbnail(folder: Path, person: int, clip_s: float, video_s: float) -> bytes:
    """Return a JPEG of the overlay in the results ``folder`` at ``video_s`` of its own time, of the whole picture
    (``person`` 0) or of a person, who is looked for at ``clip_s``. Empty where no picture can be made.
    """
    from mocap_video.pipeline.results import read_person
    from mocap_video.pipeline.video import read_picture

    try:
        with _AT_ONCE:
            rgb = read_picture(folder / "overlay.mp4", max(0.0, video_s))
        size, box = CLIP_PX, None
        if person:
            size = PERSON_PX
            record = read_person(folder / "people" / f"{person:03d}.npz")
            row = int(np.argmin(np.abs(record.time_s - clip_s)))
            box = _box_of(record.keypoints2d[row])
    except MocapVideoError as error:
        logger.info("%s: no picture for the list: %s", folder, error)
        return b""
    return _jpeg(rgb, size, box)


def _box_of(keypoints: np.ndarray) -> tuple[float, float, float, float] | None:
    """Return the box, with room around it, of ``keypoints (17,3)`` px: left, top, right, bottom; None where unseen."""
    xy = keypoints[keypoints[:, 2] > 0.2, :2]
    if len(xy) < 4:
        return None
    low, high = xy.min(0), xy.max(0)
    room = 0.15 * float((high - low).max())
    return low[0] - room, low[1] - 1.5 * room, high[0] + room, high[1] + room


def _jpeg(rgb: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> bytes:
    """Return the part of ``rgb`` that ``box`` needs, widened to the shape of ``size`` (W, H) px and filling it."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = box or (0.0, 0.0, float(width), float(height))
    shape = size[0] / size[1]
    if box is None:  # the largest part of that shape, from the middle; of a tall picture somewhat above it
        wide, high = min(width, height * shape), min(height, width / shape)
        left, top = (width - wide) / 2, (height - high) * 0.4
    else:
        high = max(bottom - top, (right - left) / shape)
        wide, middle = high * shape, ((left + right) / 2, (top + bottom) / 2)
        left, top = middle[0] - wide / 2, middle[1] - high / 2
    picture = Image.fromarray(rgb).crop((round(left), round(top), round(left + wide), round(top + high)))
    stream = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(stream, format="JPEG", quality=78)
    return stream.getvalue()
