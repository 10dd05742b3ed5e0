"""Offsets taken off keypoints: in shares of the person as they stand in the picture, alike for left and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mocap_video.detectors.bias import HIPS, SHOULDERS, BiasConfig, Unbiased, unbiased
from mocap_video.errors import ConfigError
from mocap_video.pipeline.config import load_config
from mocap_video.pipeline.lifting import Tracks
from mocap_video.skeletons import COCO17
from mocap_video.types import Keypoints2D


def person(xy: np.ndarray, score: np.ndarray | None = None) -> Keypoints2D:
    frames = np.arange(len(xy))
    return Keypoints2D(1, "coco17", frames, frames / 25, xy, np.ones(xy.shape[:2]) if score is None else score)


def upright() -> np.ndarray:
    """Return ``(1,17,2)`` px: shoulders 40 px apart, hips 20 px apart 100 px below them."""
    xy = np.random.default_rng(0).uniform(0, 300, (1, 17, 2))
    xy[0, SHOULDERS] = [[120, 100], [80, 100]]
    xy[0, HIPS] = [[110, 200], [90, 200]]
    return xy


def test_offsets_are_shares_of_torso_and_half_width() -> None:
    """Along the torso from the hips upwards, which is -y here, and outwards from the middle of the pair."""
    bias = BiasConfig(hips=(0.1, -0.2), shoulders=(0.0, 0.5), share=0.5)
    taken = unbiased(person(upright()), bias).xy[0]
    np.testing.assert_allclose(taken[list(HIPS)], [[111, 205], [89, 205]])  # px
    np.testing.assert_allclose(taken[list(SHOULDERS)], [[115, 100], [85, 100]])  # px


def test_other_joints_scores_and_frames_stay() -> None:
    before = person(upright())
    after = unbiased(before, BiasConfig(hips=(0.1, 0.1), shoulders=(0.1, 0.1)))
    others = [joint for joint in range(len(COCO17)) if joint not in (*HIPS, *SHOULDERS)]
    np.testing.assert_array_equal(after.xy[:, others], before.xy[:, others])
    np.testing.assert_array_equal(after.score, before.score)
    np.testing.assert_array_equal(after.frames, before.frames)
    np.testing.assert_array_equal(before.xy, upright())


def test_a_mirrored_person_is_changed_in_the_mirror() -> None:
    bias = BiasConfig(hips=(-0.07, -0.08), shoulders=(-0.01, 0.08))
    mirrored = (upright() * [-1, 1])[:, list(COCO17.flip)]
    back = unbiased(person(mirrored), bias).xy[:, list(COCO17.flip)] * [-1, 1]
    np.testing.assert_allclose(back, unbiased(person(upright()), bias).xy)


@pytest.mark.parametrize("missing", [*HIPS, *SHOULDERS])
def test_without_a_torso_joint_the_frame_stays(missing: int) -> None:
    xy, score = np.concatenate([upright(), upright()]), np.ones((2, 17))
    xy[1, missing], score[1, missing] = np.nan, 0
    after = unbiased(person(xy, score), BiasConfig(hips=(0.1, 0.1)))
    np.testing.assert_array_equal(after.xy[1], xy[1])
    assert np.abs(after.xy[0] - xy[0]).max() > 5  # px


@pytest.mark.parametrize("options", [{}, {"hips": (0.1, 0.1), "share": 0.0}])
def test_nothing_to_take_off_changes_neither_keypoints_nor_keys(options: dict[str, object]) -> None:
    tracks = Tracks([], [[person(upright())]], ["key"])
    assert tracks.unbiased(BiasConfig(**options)) is tracks  # type: ignore[arg-type]


def test_what_is_lifted_has_keys_of_its_own() -> None:
    tracks = Tracks([], [[person(upright())]], ["key"])
    first, second = (tracks.unbiased(BiasConfig(hips=(share, 0.0))) for share in (0.1, 0.2))
    assert len({*tracks.keys, *first.keys, *second.keys}) == 3
    assert isinstance(first.keypoints, Unbiased)
    np.testing.assert_allclose(first.keypoints[0][0].xy[0, HIPS[0]], [110, 210])  # px
    np.testing.assert_array_equal(tracks.keypoints[0][0].xy, upright())


def test_a_config_file_switches_it_on_and_no_shipped_one_does(tmp_path: Path) -> None:
    assert not load_config("embedded").bias
    path = tmp_path / "mine.py"
    path.write_text("bias = dict(hips=(-0.0672, -0.0827), shoulders=(-0.0056, 0.0803), share=0.5)\n")
    assert load_config(str(path)).bias == BiasConfig((-0.0672, -0.0827), (-0.0056, 0.0803), 0.5)


@pytest.mark.parametrize(
    "text", ["bias = dict(hips=(0.6, 0.0))", "bias = dict(share=1.5)", "bias = dict(knees=(0, 0))"]
)
def test_offsets_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match="bias"):
        load_config(str(path))
