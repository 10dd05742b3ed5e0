"""The embedded front end on real recordings. Half the frames: identity and keypoints do not need them all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from realdata import real_calibration, real_folder, real_frames, real_joints

from mocap_video.detectors.config import PeopleConfig
from mocap_video.detectors.front_end import build_front_end
from mocap_video.detectors.people import find_people
from mocap_video.skeletons import COCO17
from mocap_video.types import Calibration, Camera, GroundPlane, PersonTrack
from synth.walkers import projected

pytestmark = pytest.mark.slow
LIMBS = [j for j, name in enumerate(COCO17.names) if name.endswith(("wrist", "elbow", "knee", "ankle", "shoulder"))]


def followed(video: Path, calibration: Calibration, every: int, count: int | None = None) -> list[PersonTrack]:
    front_end = build_front_end()
    frames = real_frames(video, every=every, count=count)
    return find_people(frames, calibration, PeopleConfig(), detector=front_end.detector, estimator=front_end.estimator)


@cache
def people_of(name: str, camera: str) -> tuple[PersonTrack, ...]:
    folder = real_folder(name)
    return tuple(followed(folder / f"{camera}.mp4", real_calibration(folder / f"{camera}.yaml"), every=2))


def errors(person: PersonTrack, folder: Path, camera: str) -> np.ndarray:
    """Return distances ``(T,17)`` of the keypoints from the reprojected truth of the man, in % of his height in px."""
    frames = person.keypoints.frames
    truth = projected(real_joints(folder)[frames], real_calibration(folder / f"{camera}.yaml"))
    height = np.nanmax(truth[..., 1], 1) - np.nanmin(truth[..., 1], 1)
    return 100 * np.linalg.norm(person.keypoints.xy - truth, axis=-1) / height[:, None]


@pytest.mark.parametrize("camera", ["cam01", "cam03"])
def test_the_man_alone_is_followed_through_every_frame(camera: str) -> None:
    folder = real_folder("pose2sim_single")
    errors_of = [errors(p, folder, camera) for p in people_of("pose2sim_single", camera)]
    off = min(errors_of, key=lambda e: float(np.nanmedian(e)))
    assert len(off) == 50
    assert not np.isnan(off[:, LIMBS]).any()
    assert np.median(off[:, LIMBS]) < 2.2  # % of his height; measured 1.4 to 1.7
    assert np.percentile(off[:, LIMBS], 90) < 5.0


def test_a_face_from_behind_is_not_trusted() -> None:
    (man,) = people_of("pose2sim_single", "cam03")
    eyes = [COCO17.index(name) for name in ("nose", "left_eye", "right_eye")]
    assert np.median(man.keypoints.score[:, eyes]) < 0.3
    assert np.median(man.keypoints.score[:, LIMBS]) > 0.6


@pytest.mark.parametrize("camera", ["cam02", "cam03", "cam04"])
def test_two_people_keep_their_numbers(camera: str) -> None:
    """The man passes behind the woman in cam03. In cam02 somebody else stands at the wall."""
    folder = real_folder("pose2sim_multi")
    people = people_of("pose2sim_multi", camera)
    assert len(people) == (3 if camera == "cam02" else 2)
    off = [errors(p, folder, camera) for p in people]
    man = int(np.argmin([np.nanmedian(e[:, LIMBS]) for e in off]))
    score = people[man].keypoints.score
    trusted = np.nanmedian(off[man][:, LIMBS][score[:, LIMBS] > 0.7])
    assert trusted < 3.0  # % of his height; measured 2.2 where she covers half of him, 1.4 elsewhere
    if camera == "cam03":
        assert np.nanmedian(off[man][:, LIMBS][score[:, LIMBS] < 0.3]) > 3 * trusted  # and the covered half is not
    for number, person in enumerate(people):
        assert len(person.keypoints.frames) == 50
        assert person.keypoints.seen.mean() > 0.9
        if number != man:  # never taken for him: hips apart in every frame
            near = off[number][:, [11, 12]].mean(-1) < 5.0
            assert near.mean() < 0.1


def test_the_woman_and_the_man_who_jumps_are_found() -> None:
    """A phone at 1.2 m; the man stands on a 2 m box, out of the ground plane's reach, jumps and runs off."""
    folder = real_folder("sports2d_demo")
    K = np.array([[2520.0, 0, 883.5], [0, 2520.0, 496.5], [0, 0, 1]])
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    ground = GroundPlane(np.array([0.0, 0.0, 1.0]), 0.0)
    calibration = Calibration(Camera(K, R, -R @ np.array([0, 0, 1.2]), (1768, 994)), ground)
    people = followed(folder / "demo.mp4", calibration, every=2)
    assert len(people) == 2
    man, woman = people
    assert man.keypoints.frames[0] == 0
    assert man.keypoints.frames[-1] > 205  # after the landing, under the same number
    assert woman.keypoints.frames[0] < 60
    assert woman.keypoints.frames[-1] > 180
    hips = np.nanmean(woman.keypoints.xy[:, 11:13, 0], axis=1)
    assert hips[0] - hips[-1] > 1000  # px: she walks to the left through the picture
