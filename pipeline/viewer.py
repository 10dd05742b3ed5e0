"""What a page shows of a results folder, read from disk alone, and the static page ``index.html`` itself.

Bodies and timelines are embedded up to a limit: beyond ``MOST_POSES`` person-frames every n-th pose is kept, and beyond
``MOST_POINTS`` n frames share a point of the timelines. n is the same for everyone in the clip and stands in the page.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mocap_video.artifacts import atomic_write
from mocap_video.calib import geometry
from mocap_video.errors import ArtifactError
from mocap_video.lifter.rotations import matrix_from_rotvec, rotvec_from_matrix
from mocap_video.pipeline.pages_files import page_file, script, style
from mocap_video.pipeline.plain_json import strict_json
from mocap_video.pipeline.results import PersonRecord, person_files, read_person
from mocap_video.pipeline.results_folder import VIDEO_NAMES, PersonRows, read_people_csv, read_report
from mocap_video.pipeline.trust import EVEN
from mocap_video.pipeline.viewer_body import LightBody, light_body
from mocap_video.pipeline.viewer_pack import Packed, hex_colour, pack, pack_scaled
from mocap_video.skeletons import SMPL_PARENTS
from mocap_video.types import Camera, GroundPlane

PAGE = "index.html"
MOST_POSES = 24_000
MOST_POINTS = 60_000

_CONTACTS = {"none": 0, "left": 1, "right": 2, "both": 3}
_MOST_FLAGS = 32


@dataclass(frozen=True)
class CameraView:
    """The camera for drawing: ``center (3)`` m, ``R_cam_from_world (3,3)``, ``corners (4,3)``: the image's corners one
    metre deep, m, site world (empty where the lens reaches none), ``hfov`` and ``vfov`` rad of the image without lens.
    """

    center: Sequence[float]
    R_cam_from_world: Sequence[Sequence[float]]
    corners: Sequence[Sequence[float]]
    hfov: float
    vfov: float


@dataclass(frozen=True)
class PersonView:
    """One person: ``rest_joints`` (24,3) m of the body in its rest pose; ``betas`` (10); the kept poses: ``pose_time``
    (P) s, ``rotvec`` (P,72) rad, ``trans`` (P,3) m; and the timelines' points: ``time`` (S) s, ``root`` (S,3) m,
    ``speed`` m/s, ``hip`` m over the ground, ``spread`` m, ``trust`` 0..1, ``contact`` (1 left, 2 right, 3 both),
    ``flags`` (bits in the order of the page's flags), ``seen`` 0 or 1.
    """

    number: int
    colour: str
    mean_trust: float
    frames: int
    has_mesh: bool
    rest_joints: Packed
    betas: Packed
    pose_time: Packed
    rotvec: Packed
    trans: Packed
    time: Packed
    root: Packed
    speed: Packed
    hip: Packed
    spread: Packed
    trust: Packed
    contact: Packed
    flags: Packed
    seen: Packed


@dataclass(frozen=True)
class FlagView:
    """A flag's ``id``, and its ``sentence`` where the report gives one."""

    id: str
    sentence: str


@dataclass(frozen=True)
class PageData:
    """All that a clip's page shows. ``pose_every`` and ``point_every``: frames for each pose and point kept.

    ``first_drawn_s``: where in the clip's time the videos begin, ``first_s`` and ``last_s``: where the clip does, s.
    """

    name: str
    videos: Sequence[str]
    size: Sequence[int]
    rate: float
    first_drawn_s: float
    first_s: float
    last_s: float
    calibration: str
    camera: CameraView
    ground: GroundPlane
    warnings: Sequence[str]
    flags: Sequence[FlagView]
    pose_every: int
    point_every: int
    full_trust: float
    parents: Sequence[int]
    body: LightBody | None
    people: Sequence[PersonView]


def read_page_data(folder: Path) -> PageData:
    """Return what the page of the results ``folder`` shows; ``ArtifactError`` for files that are not what they say."""
    report = read_report(folder)
    try:
        clip, calibration = report["clip"], report["calibration"]
        camera, ground = _camera_of(calibration["camera"]), _ground_of(calibration["ground"])
        name, rate = Path(str(clip["path"])).name, float(clip["rate"])
        size, last_s, first_s = tuple(map(int, clip["size"])), float(clip["last_frame_s"]), float(clip["first_drawn_s"])
        sentences = {str(key): str(text) for key, text in dict(report.get("flags") or {}).items()}
        warnings = [str(text) for text in report.get("warnings", ())]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{folder / 'report.json'}: expected a report of this version, failed on {error}. Run the clip again: "
            "finished stages are reused."
        ) from error
    files = person_files(folder)
    rows = read_people_csv(folder / "people.csv") if files else {}
    total = sum(len(person.time_s) for person in rows.values())
    pose_every, point_every = (max(1, -(-total // most)) for most in (MOST_POSES, MOST_POINTS))
    flags = _flags_of(rows, sentences)
    people = [
        _person_view(int(path.stem), read_person(path), rows.get(int(path.stem)), folder, ground,
                     flags, pose_every, point_every)
        for path in files
    ]  # fmt: skip
    return PageData(
        name=name,
        videos=[video for video in VIDEO_NAMES if (folder / video).is_file()],
        size=size,
        rate=rate,
        first_drawn_s=first_s,
        first_s=min([first_s, *(float(person.time_s[0]) for person in rows.values())]),
        last_s=max([last_s, *(float(person.time_s[-1]) for person in rows.values())]),
        calibration=_words(calibration),
        camera=_camera_view(camera),
        ground=ground,
        warnings=warnings,
        flags=flags,
        pose_every=pose_every,
        point_every=point_every,
        full_trust=EVEN,
        parents=SMPL_PARENTS,
        body=light_body() if any(person.has_mesh for person in people) else None,
        people=people,
    )


def write_page(folder: Path) -> Path:
    """Write ``index.html`` into the results ``folder``: a page that needs neither server nor network; return it."""
    data = read_page_data(folder)
    page = page_file("index.html")
    parts = {
        "TITLE": html.escape(data.name),
        "STYLE": style(),
        "THREE": page_file("vendor/three.min.js"),
        "SCRIPT": script("static"),
        "DATA": strict_json(data),
    }
    before, *rest = page.split("%%")  # one pass, so that what is put in is never itself searched
    filled = [before, *(parts.get(part, part) for part in rest)]
    path = folder / PAGE
    with atomic_write(path) as partial:
        partial.write_text("".join(filled), encoding="utf-8")
    return path


def _person_view(
    number: int,
    record: PersonRecord,
    rows: PersonRows | None,
    folder: Path,
    ground: GroundPlane,
    flags: Sequence[FlagView],
    pose_every: int,
    point_every: int,
) -> PersonView:
    count = len(record.frame)
    if rows is None or len(rows.time_s) != count:
        raise ArtifactError(
            f"{folder / 'people.csv'}: expected {count} rows of person {number}, as in people/{number:03d}.npz, got "
            f"{0 if rows is None else len(rows.time_s)}. Run the clip again: finished stages are reused."
        )
    body = light_body()
    pose = np.unique(np.r_[np.arange(0, count, pose_every), count - 1])
    bins = np.arange(0, count, point_every)
    middle = np.minimum(bins + point_every // 2, count - 1)
    bit_of = {flag.id: 1 << place for place, flag in enumerate(flags[:_MOST_FLAGS])}
    bits = np.array([sum(bit_of.get(flag, 0) for flag in of_row) for of_row in rows.flags], np.uint32)
    contact = np.array([_CONTACTS.get(name, 0) for name in rows.contact], np.uint8)
    spread = np.median(record.spread_m, 1)
    return PersonView(
        number=number,
        colour=hex_colour(number),
        mean_trust=float(np.nanmean(rows.trust)),
        frames=count,
        has_mesh=body.digest in record.body_model.split(),
        rest_joints=pack(_rest_joints(record), "f4"),
        betas=pack(record.betas, "f4"),
        pose_time=pack(record.time_s[pose], "f8"),
        rotvec=pack_scaled(_principal(record.poses[pose]), "i2"),
        trans=pack(record.trans[pose], "f4"),
        time=pack(rows.time_s[middle], "f8"),
        root=pack(rows.root[middle], "f4"),
        speed=pack_scaled(rows.speed[middle], "i2"),
        hip=pack_scaled(ground.height_of(rows.root)[middle], "i2"),
        spread=pack_scaled(np.maximum.reduceat(spread, bins), "i2"),
        trust=pack_scaled(np.minimum.reduceat(rows.trust, bins), "i2"),
        contact=pack(contact[middle], "u1"),
        flags=pack(np.bitwise_or.reduceat(bits, bins), "u4"),
        seen=pack(np.maximum.reduceat(record.seen.astype(np.uint8), bins), "u1"),
    )


def _flags_of(rows: Mapping[int, PersonRows], sentences: Mapping[str, str]) -> list[FlagView]:
    """Return the flags that occur, by name; a page has room for ``_MOST_FLAGS``."""
    found = sorted({flag for person in rows.values() for of_row in person.flags for flag in of_row})
    return [FlagView(flag, sentences.get(flag, "")) for flag in found[:_MOST_FLAGS]]


def _rest_joints(record: PersonRecord) -> np.ndarray:
    """Return the joints ``(24,3)`` m of the person's body at rest, of whatever body the person wears.

    The bones of the first frame, turned back: along each the parent's rotation is undone. In SMPL's layout the root
    lies at its rest place plus the translation.
    """
    local = matrix_from_rotvec(torch.from_numpy(record.poses[0].reshape(24, 3))).numpy()
    posed, turned = record.smpl_joints_world[0], [local[0]]
    rest = np.zeros((24, 3))
    rest[0] = posed[0] - record.trans[0]
    for joint, parent in enumerate(SMPL_PARENTS[1:], 1):
        turned.append(turned[parent] @ local[joint])
        rest[joint] = rest[parent] + turned[parent].T @ (posed[joint] - posed[parent])
    return rest


def _principal(poses: np.ndarray) -> np.ndarray:
    """Return ``poses (P,72)`` with every rotation vector no longer than pi, so that 16 bits resolve 0.006 degrees."""
    vectors = torch.from_numpy(poses.reshape(-1, 3))
    return rotvec_from_matrix(matrix_from_rotvec(vectors)).numpy().reshape(poses.shape)


def _camera_of(camera: Mapping[str, Any]) -> Camera:
    K, R, t, coeffs = (np.array(camera[key], float) for key in ("K", "R_cam_from_world", "t_cam_from_world", "coeffs"))
    width, height = map(int, camera["size"])
    return Camera(K, R, t, (width, height), camera["distortion"], coeffs.reshape(-1))


def _ground_of(ground: Mapping[str, Any]) -> GroundPlane:
    return GroundPlane(np.array(ground["normal"], float), float(ground["offset"]))


def _camera_view(camera: Camera) -> CameraView:
    width, height = camera.size
    edge = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64) - 0.5
    R = torch.as_tensor(camera.R_cam_from_world, dtype=torch.float64)
    rays = geometry.ray_directions(geometry.normalized_from_pixels(edge, camera), R).numpy()
    return CameraView(
        center=camera.center_world.tolist(),
        R_cam_from_world=camera.R_cam_from_world.tolist(),
        corners=(camera.center_world + rays).tolist() if np.isfinite(rays).all() else (),
        hfov=2 * float(np.arctan2(width / 2, camera.K[0, 0])),
        vfov=2 * float(np.arctan2(height / 2, camera.K[1, 1])),
    )


def _words(calibration: Mapping[str, Any]) -> str:
    """Return the calibration in a line: where the camera hangs."""
    name = str(calibration.get("name") or "")
    height, tilt = calibration.get("height_m"), calibration.get("tilt_down_deg")
    words = f"camera {height:.2f} m up, {tilt:.0f}° down" if height is not None and tilt is not None else ""
    return " · ".join(part for part in (name, words) if part)
