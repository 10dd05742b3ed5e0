"""People lifted from other sets, as results hold them: COCO-17 from what was lifted and from the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mocap_video.lifter.body import Posed, load_body
from mocap_video.lifter.keypoints import keypoints as points_of
from mocap_video.lifter.keypoints import pose_fit
from mocap_video.pipeline.cast import Cast
from mocap_video.pipeline.coco_results import as_coco17, coco_keypoints
from mocap_video.skeletons import COCO17, H36M17, SMPL24, Skeleton
from mocap_video.types import BodyFit, Keypoints2D, Motion3D, Person
from synth.people import make_person

BODY = load_body("neutral")
FACE = [i for i, name in enumerate(COCO17.names) if name.split("_")[-1] in ("nose", "eye", "ear")]
LIMBS = [i for i in range(len(COCO17)) if i not in FACE]


def posed(fit: BodyFit) -> Posed:
    return pose_fit(BODY, fit.betas, np.concatenate([fit.global_orient[:, None], fit.body_pose], 1), fit.transl)


def person_of(skeleton: Skeleton) -> Person:
    """Someone whose lifted points are those of the fitted body, with a spread that tells the joints apart."""
    fit = make_person().body
    joints = points_of(posed(fit), skeleton).double().numpy()
    count, points = joints.shape[:2]
    frames, time_s = np.arange(count), np.arange(count) / 30
    xy = np.arange(count * points * 2, dtype=float).reshape(count, points, 2)
    spread = np.repeat(0.01 * (1 + np.arange(points))[None], count, 0)
    return Person(
        Keypoints2D(1, skeleton.name, frames, time_s, xy, np.full((count, points), 0.7)),
        Motion3D(1, skeleton.name, frames, time_s, joints, spread),
        fit,
    )


def coco_truth(person: Person) -> np.ndarray:
    """The fitted body's own COCO-17 points ``(T,17,3)`` m."""
    return posed(person.body).coco.double().numpy()


@pytest.mark.parametrize("skeleton", [SMPL24, H36M17], ids=lambda one: one.name)
def test_what_was_lifted_right_is_right_in_coco17(skeleton: Skeleton) -> None:
    given = person_of(skeleton)
    (person,) = as_coco17(Cast.of([given]), BODY)
    assert person.motion.skeleton == COCO17.name
    assert np.abs(person.motion.joints - coco_truth(given)).max() < 1e-5  # m


def test_what_was_lifted_elsewhere_is_there_in_coco17() -> None:
    given = person_of(SMPL24)
    moved = given.motion.joints.copy()
    moved[:, SMPL24.index("left_knee")] += [0.0, 0.1, 0.0]
    (person,) = as_coco17(Cast.of([replace(given, motion=replace(given.motion, joints=moved))]), BODY)
    off = person.motion.joints - coco_truth(given)
    knee = COCO17.index("left_knee")
    assert np.allclose(off[:, knee], [0.0, 0.1, 0.0], atol=1e-5)  # m
    assert np.abs(np.delete(off, knee, 1)).max() < 1e-5


def test_the_spread_goes_with_its_joint_and_the_face_has_the_heads() -> None:
    (person,) = as_coco17(Cast.of([person_of(SMPL24)]), BODY)
    for name in ("left_hip", "right_wrist"):
        expected = 0.01 * (1 + SMPL24.index(name))
        assert person.motion.spread[:, COCO17.index(name)] == pytest.approx(expected)
    assert person.motion.spread[:, FACE] == pytest.approx(0.01 * (1 + SMPL24.index("head")))


def test_the_image_has_what_both_sets_name() -> None:
    given = person_of(SMPL24).keypoints
    found = coco_keypoints(given)
    assert found.skeleton == COCO17.name
    assert np.isnan(found.xy[:, FACE]).all()
    assert not found.score[:, FACE].any()
    assert (found.score[:, LIMBS] == 0.7).all()
    knee = found.xy[:, COCO17.index("right_knee")]
    assert np.array_equal(knee, given.xy[:, SMPL24.index("right_knee")])
