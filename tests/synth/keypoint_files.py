"""The same people written in every keypoint format that ``lift`` reads, as the tools of others write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocap_video.detectors.files.layouts import LAYOUTS
from mocap_video.skeletons import COCO17

People = Mapping[int, np.ndarray]
"""``(T,17,3)`` px and score by identity; a frame of NaN and 0 is one in which the person is not seen."""


def in_layout(points: np.ndarray, layout: str) -> np.ndarray:
    """Return ``(J,3)`` of one person's ``points (17,3)``, zeros where missing, as OpenPose does."""
    out = np.zeros((len(LAYOUTS[layout]), 3))
    for place, name in enumerate(LAYOUTS[layout]):
        if name in COCO17.names:
            out[place] = np.nan_to_num(points[COCO17.index(name)])
    return out


def seen(people: People) -> list[tuple[int, int, np.ndarray]]:
    """Return frame, identity and points of every sighting, by frame."""
    count = len(next(iter(people.values())))
    return [
        (frame, who, points[frame])
        for frame in range(count)
        for who, points in people.items()
        if points[frame, :, 2].any()
    ]


def write_npz(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write the only person, with times of 25 frames a second."""
    assert layout == "coco17"
    assert not named
    (points,) = people.values()
    path = folder / "person.npz"
    np.savez(path, keypoints2d=points, time_s=np.arange(len(points)) / 25)
    return path


def write_results(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write people/NNN.npz as ``run`` does, as far as ``lift`` reads them."""
    assert layout == "coco17"
    assert named
    (folder / "people").mkdir()
    for who, points in people.items():
        frames = np.arange(len(points))
        np.savez(folder / "people" / f"{who:03d}.npz", keypoints2d=points, time_s=frames / 25, frame=frames)
    return folder


def write_openpose(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write one file a frame, also for frames without anybody."""
    for frame in range(len(next(iter(people.values())))):
        found = [
            {"person_id": [who if named else -1], "pose_keypoints_2d": in_layout(points, layout).ravel().tolist()}
            for at, who, points in seen(people)
            if at == frame
        ]
        name = f"my clip 2_{frame:012d}_keypoints.json"
        (folder / name).write_text(json.dumps({"version": 1.3, "people": found}))
    return folder


def _openpose_person(numbers: list[float]) -> dict[str, object]:
    """Return a person as Pose2Sim and Sports2D write one: no identity, and the lists that they leave empty."""
    parts = ("face", "hand_left", "hand_right")
    empty = {f"{part}_keypoints_{axes}": [] for axes in ("2d", "3d") for part in parts} | {"pose_keypoints_3d": []}
    return {"person_id": [-1], "pose_keypoints_2d": numbers, **empty}


def _crowded(points: np.ndarray, layout: str) -> list[float]:
    """Return one person's ``points (17,3)`` in ``layout``, whose other joints are found as well, far off."""
    placed = in_layout(points, layout)
    placed[[name not in COCO17.names for name in LAYOUTS[layout]]] = [5.0, 5.0, 0.9]
    return placed.ravel().tolist()


def write_pose2sim(folder: Path, people: People, *, layout: str = "halpe26", first: int = 0) -> Path:
    """Write ``pose/cam01_json/cam01_000000.json`` and so on, as Pose2Sim does; frames count from ``first``.

    Its trackers keep a place in the list for everyone: who is not seen is a row of NaN there.
    """
    target = folder / "pose" / "cam01_json"
    target.mkdir(parents=True)
    for frame in range(len(next(iter(people.values())))):
        rows = [_crowded(points[frame], layout) for points in people.values()]
        hidden = [not points[frame, :, 2].any() for points in people.values()]
        found = [[float("nan")] * len(row) if gone else row for row, gone in zip(rows, hidden, strict=True)]
        content = {"version": 1.3, "people": [_openpose_person(numbers) for numbers in found]}
        (target / f"cam01_{first + frame:06d}.json").write_text(json.dumps(content))
    return target


def write_sports2d(folder: Path, points: np.ndarray) -> Path:
    """Write ``demo_BLAZEPOSE_json/demo_BLAZEPOSE.00000.json`` and so on, as Sports2D did when it wrote json.

    It follows one person, ``points (T,17,3)``, with BlazePose's 33 landmarks, and writes a single NaN where it has lost
    them.
    """
    target = folder / "demo_BLAZEPOSE_json"
    target.mkdir()
    for frame, seen_now in enumerate(points):
        numbers = _crowded(seen_now, "blazepose33") if seen_now[:, 2].any() else [float("nan")]
        content = {"version": 1.3, "people": [_openpose_person(numbers)]}
        (target / f"demo_BLAZEPOSE.{frame:05d}.json").write_text(json.dumps(content))
    return target


def _flat(points: np.ndarray, layout: str) -> list[float]:
    return in_layout(points, layout).ravel().tolist()


def _write(folder: Path, content: Any) -> Path:
    path = folder / "keypoints.json"
    path.write_text(json.dumps(content))
    return path


def write_mmpose(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write what MMPose's inferencer writes of a video; with identities, what its demo scripts write."""
    frames: list[dict[str, Any]] = [
        {"frame_id": frame, "instances": []} for frame in range(len(next(iter(people.values()))))
    ]
    for frame, who, points in seen(people):
        placed = in_layout(points, layout)
        instance = {"keypoints": placed[:, :2].tolist(), "keypoint_scores": placed[:, 2].tolist()}
        frames[frame]["instances"].append({**instance, **({"track_id": who} if named else {})})
    if not named:
        return _write(folder, frames)
    names = {str(place): name for place, name in enumerate(LAYOUTS[layout])}
    return _write(folder, {"meta_info": {"keypoint_id2name": names}, "instance_info": frames})


def write_coco(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write annotations; COCO has flags for scores, so the people's scores must be 0, 0.5 or 1."""
    images = [
        {"id": 100 + frame, "file_name": f"frame_{frame:05d}.png"} for frame in range(len(next(iter(people.values()))))
    ]
    annotations = []
    for frame, who, points in seen(people):
        flags = in_layout(points, layout)
        flags[:, 2] *= 2
        entry = {"image_id": 100 + frame, "category_id": 1, "keypoints": flags.ravel().tolist()}
        annotations.append({**entry, **({"attributes": {"track_id": who}} if named else {})})
    kind = {"id": 1, "name": "person", "keypoints": [name.replace("_", "-") for name in LAYOUTS[layout]]}
    return _write(folder, {"images": images, "annotations": annotations, "categories": [kind]})


def write_coco_results(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write a list of sightings."""
    return _write(
        folder,
        [
            {"image_id": frame, "category_id": 1, "score": 0.9, "keypoints": _flat(points, layout)}
            | ({"track_id": who} if named else {})
            for frame, who, points in seen(people)
        ],
    )


def write_alphapose(folder: Path, people: People, *, layout: str, named: bool) -> Path:
    """Write a list of sightings with names of images; identities as AlphaPose's tracker gives them."""
    return _write(
        folder,
        [
            {"image_id": f"{frame}.jpg", "category_id": 1, "score": 2.7, "keypoints": _flat(points, layout)}
            | ({"idx": [float(who)]} if named else {})
            for frame, who, points in seen(people)
        ],
    )


Writer = Callable[..., Path]

WRITERS: dict[str, Writer] = {
    "npz": write_npz,
    "results": write_results,
    "openpose": write_openpose,
    "mmpose": write_mmpose,
    "coco": write_coco,
    "coco-results": write_coco_results,
    "alphapose": write_alphapose,
}
HAS_TIMES = ("npz", "results")
NAMES_PEOPLE = ("results", "openpose", "mmpose", "coco", "coco-results", "alphapose")
TAKES_UNNAMED = ("npz", "openpose", "mmpose", "coco", "coco-results", "alphapose")
JSON: Sequence[str] = ("openpose", "mmpose", "coco", "coco-results", "alphapose")
