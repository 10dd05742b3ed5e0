"""The score falls and the flags rise for each reason to doubt a frame, on people who are made for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from mocap_video.calib.geometry import project
from mocap_video.errors import ArtifactError
from mocap_video.lifter.body import load_body
from mocap_video.pipeline.trust import (
    CONTEXT_S,
    DOUBTFUL,
    FLAGS,
    FORMAT,
    TERMS,
    TrustModel,
    assess,
    load_model,
    signs_of,
    terms_of,
    window_max,
)
from mocap_video.types import Person
from synth.people import make_calibration, make_person

SITE = make_calibration()
RATE = 30
FACE, ARMS_AND_FACE, LEGS = slice(0, 5), slice(0, 11), slice(13, 17)
MIDDLE = 60


def upright(points: torch.Tensor) -> np.ndarray:
    """Turn points ``(...,3)`` from the body's +Y up to the site's +Z up, soles on the ground, 10 m ahead."""
    body = points.double().numpy()
    return np.stack([body[..., 0], 10.0 - body[..., 2], body[..., 1]], -1)


@cache
def good_person(count: int = 120) -> Person:
    """Return a person of 1.68 m who glides along +x at 0.3 m/s for 4 s, seen whole: nothing speaks against it."""
    model, person = load_body("neutral"), make_person(count=count, rate=RATE)
    rest = model.pose(torch.zeros(10), torch.eye(3).expand(24, 3, 3), torch.zeros(3))
    low = float(model.v_template[:, 1].min())
    moved = np.stack([0.3 * person.motion.time_s - 0.6, np.zeros(count), np.full(count, -low)], -1)[:, None]
    joints, coco = upright(rest.joints) + moved, upright(rest.coco) + moved
    pixels, _ = project(torch.as_tensor(coco), SITE.camera)
    return Person(
        keypoints=replace(person.keypoints, xy=pixels.numpy()),
        motion=replace(person.motion, joints=coco, spread=np.full((count, 17), 0.06)),
        body=replace(person.body, joints=joints, residual=np.full(count, 0.02)),
    )


def lose(person: Person, joints: slice, frames: slice = slice(None)) -> Person:
    """Take keypoints away."""
    xy, score = person.keypoints.xy.copy(), person.keypoints.score.copy()
    xy[frames, joints], score[frames, joints] = np.nan, 0
    return replace(person, keypoints=replace(person.keypoints, xy=xy, score=score))


def move(person: Person, by: np.ndarray, *, keypoints: bool = True) -> Person:
    """Move joints and body by ``by`` (broadcast to (T,3)) m, and the keypoints with them if asked."""
    by = np.broadcast_to(by, (len(person.motion.time_s), 3))[:, None]
    joints = person.motion.joints + by
    xy = project(torch.as_tensor(joints), SITE.camera)[0].numpy() if keypoints else person.keypoints.xy
    return Person(
        keypoints=replace(person.keypoints, xy=xy),
        motion=replace(person.motion, joints=joints),
        body=replace(person.body, joints=person.body.joints + by),
    )


def spread(person: Person, spread_m: float) -> Person:
    return replace(person, motion=replace(person.motion, spread=np.full((len(person.motion.time_s), 17), spread_m)))


def part(person: Person, frames: slice) -> Person:
    """Cut a piece out of a track."""
    k, m, b = person.keypoints, person.motion, person.body
    return Person(
        keypoints=replace(k, frames=k.frames[frames], time_s=k.time_s[frames], xy=k.xy[frames], score=k.score[frames]),
        motion=replace(m, frames=m.frames[frames], time_s=m.time_s[frames], joints=m.joints[frames],
                       spread=m.spread[frames]),
        body=replace(b, global_orient=b.global_orient[frames], body_pose=b.body_pose[frames],
                     transl=b.transl[frames], joints=b.joints[frames], residual=b.residual[frames]),
    )  # fmt: skip


def grown(person: Person, scale: float) -> Person:
    root = person.body.joints[:, :1]
    return replace(person, body=replace(person.body, joints=root + scale * (person.body.joints - root)))


def time_s(person: Person) -> np.ndarray:
    return person.motion.time_s[:, None]


def test_nothing_speaks_against_someone_seen_whole() -> None:
    trust = assess(good_person(), SITE)
    assert not trust.flags.any()
    assert (trust.score > 0.8).all()
    assert trust.ids(MIDDLE) == []
    assert trust.shares() == {}


REASONS: dict[str, Callable[[Person], Person]] = {
    "bridged": lambda p: lose(p, slice(None), slice(MIDDLE - 6, MIDDLE + 6)),
    "fast": lambda p: move(p, np.array([10.0, 0, 0]) * np.clip(time_s(p) - 1.9, 0, 0.3)),
    "feet_hidden": lambda p: spread(lose(p, LEGS), 0.3),
    "few_keypoints": lambda p: lose(p, ARMS_AND_FACE),
    "disagrees": lambda p: move(p, np.array([0.3, 0, 0]), keypoints=False),
    "off_ground": lambda p: move(p, np.array([0, 0, 0.35])),
    "odd_size": lambda p: grown(p, 1.3),
    "unsure": lambda p: spread(replace(p, body=replace(p.body, residual=p.body.residual + 0.15)), 0.4),
    "cut_off": lambda p: spread(move(p, np.array([6.3, 0, 0])), 0.3),
    "far": lambda p: spread(move(p, np.array([0, 40.0, 0])), 0.3),
    "short": lambda p: part(p, slice(MIDDLE - 5, MIDDLE + 5)),
}


@pytest.mark.parametrize("flag", FLAGS)
def test_a_reason_raises_its_flag(flag: str) -> None:
    person = REASONS[flag](good_person())
    middle = len(person.motion.frames) // 2
    trust = assess(person, SITE)
    assert flag in trust.ids(middle)
    assert 0 < trust.shares()[flag] <= 1
    assert trust.score[middle] <= assess(good_person(), SITE).score[MIDDLE]


@pytest.mark.parametrize(("flag", "harmless"), [
    ("off_ground", lambda p: move(p, np.array([0, 0, 1.0]) * np.exp(-((time_s(p) - 2) / 0.12) ** 2))),  # a jump
    ("feet_hidden", lambda p: lose(p, LEGS, slice(MIDDLE - 8, MIDDLE + 8))),  # half a second behind a box
    ("few_keypoints", lambda p: lose(p, ARMS_AND_FACE, slice(MIDDLE, MIDDLE + 2))),  # a flicker
    ("few_keypoints", lambda p: lose(p, FACE)),  # seen from behind
    ("odd_size", lambda p: grown(p, 1.12)),  # a man of 1.88 m
    ("fast", lambda p: move(p, np.array([1.2, 0, 0]) * time_s(p))),  # a walk
])  # fmt: skip
def test_what_people_do_raises_none(flag: str, harmless: Callable[[Person], Person]) -> None:
    assert flag not in assess(harmless(good_person()), SITE).shares()


def test_hidden_feet_of_whom_the_rest_tells_enough_raise_none() -> None:
    sure, unsure = (assess(spread(lose(good_person(), LEGS), expected_m), SITE) for expected_m in (0.02, 0.3))
    assert sure.score[MIDDLE] >= DOUBTFUL > unsure.score[MIDDLE]
    assert "feet_hidden" not in sure.shares()
    assert "feet_hidden" in unsure.ids(MIDDLE)


@pytest.mark.parametrize("worse", [
    lambda p: lose(p, LEGS),
    lambda p: lose(p, ARMS_AND_FACE),
    lambda p: lose(p, slice(None), slice(MIDDLE - 6, MIDDLE + 6)),
    lambda p: spread(p, 0.15),
    lambda p: move(p, np.array([0.2, 0, 0]), keypoints=False),
    lambda p: replace(p, body=replace(p.body, residual=p.body.residual + 0.1)),
    lambda p: grown(p, 1.2),
])  # fmt: skip
def test_the_score_falls(worse: Callable[[Person], Person]) -> None:
    before, after = assess(good_person(), SITE), assess(worse(good_person()), SITE)
    assert after.score[MIDDLE] < before.score[MIDDLE] - 0.001


def test_the_score_never_rises_with_a_term() -> None:
    model = load_model()
    assert set(model.weights) <= set(TERMS)
    assert min(model.weights.values()) >= 0
    terms = terms_of(signs_of(good_person(), SITE))
    assert set(terms) == set(TERMS)
    for name in model.weights:
        assert (model.score({**terms, name: terms[name] + 0.1}) < model.score(terms)).all()


def test_every_term_is_zero_or_more() -> None:
    for reason in REASONS.values():
        for name, values in terms_of(signs_of(reason(good_person()), SITE)).items():
            assert np.isfinite(values).all(), name
            assert (values >= 0).all(), name


def test_someone_never_seen_is_bridged_throughout() -> None:
    trust = assess(lose(good_person(), slice(None)), SITE)
    assert trust.shares()["bridged"] == 1
    assert np.isfinite(trust.score).all()
    assert (trust.score < assess(good_person(), SITE).score - 0.1).all()


def test_a_piece_with_its_context_is_answered_as_the_whole() -> None:
    rng = np.random.default_rng(3)
    person = lose(good_person(240), LEGS, slice(100, 140))
    person = replace(person, body=replace(person.body, residual=rng.uniform(0.01, 0.2, 240)))
    context = round(CONTEXT_S * RATE) + 1
    whole, piece = assess(person, SITE), assess(part(person, slice(90 - context, 150 + context)), SITE)
    np.testing.assert_allclose(piece.score[context:-context], whole.score[90:150], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(piece.flags[context:-context], whole.flags[90:150])


def test_a_single_frame_is_answered() -> None:
    trust = assess(part(good_person(), slice(5, 6)), SITE)
    assert trust.ids(0) == ["short"]
    assert 0 <= trust.score[0] <= 1


def test_the_window_is_one_of_time() -> None:
    times = np.array([0.0, 0.1, 0.2, 1.0, 1.1])
    values = np.array([1.0, 5.0, 2.0, 3.0, 0.0])
    np.testing.assert_array_equal(window_max(values, times, 0.1), [5, 5, 5, 3, 3])
    np.testing.assert_array_equal(window_max(values, times, 5.0), [5, 5, 5, 5, 5])


def test_every_flag_has_a_sentence_and_a_short_word() -> None:
    for flag in FLAGS.values():
        assert len(flag.sentence) > 20
        assert 2 < len(flag.word) <= 12
    assert len({flag.word for flag in FLAGS.values()}) == len(FLAGS)


@pytest.mark.parametrize("content", [
    "", "[]", "{}", '{"format": "another", "bias": 1, "weights": {}}',
    json.dumps({"format": FORMAT, "bias": 1, "weights": {"luck": 2.0}}),
    json.dumps({"format": FORMAT, "bias": "high", "weights": {}}),
    json.dumps({"format": FORMAT, "bias": 1, "weights": {"feet": -1.0}}),
])  # fmt: skip
def test_a_model_that_is_not_one_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "trust.json"
    path.write_text(content)
    with pytest.raises(ArtifactError, match=r"trust\.json"):
        load_model(path)
    with pytest.raises(ArtifactError, match="absent"):
        load_model(tmp_path / "absent.json")


def test_a_model_says_a_probability() -> None:
    model = TrustModel(0.0, {"feet": np.log(3.0)})
    np.testing.assert_allclose(model.score({"feet": np.array([0.0, 1.0])}), [0.5, 0.25])
