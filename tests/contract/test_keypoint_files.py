"""What every format of keypoint files promises ``lift``: pixels, scores, times, identities, errors that name a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mocap_video.detectors.files.formats import FORMATS, read_sightings
from mocap_video.detectors.files.identity import people_of
from mocap_video.errors import ConfigError, KeypointsError
from mocap_video.skeletons import COCO17
from mocap_video.types import Keypoints2D
from synth.keypoint_files import (
    HAS_TIMES,
    JSON,
    NAMES_PEOPLE,
    TAKES_UNNAMED,
    WRITERS,
    People,
    write_pose2sim,
    write_sports2d,
)
from synth.walkers import Walk, projected, site_calibration

RATE = 25.0
CALIBRATION = site_calibration()
CASES = [(kind, False) for kind in TAKES_UNNAMED] + [(kind, True) for kind in NAMES_PEOPLE]


def walker(walk: Walk, frames: int = 30) -> np.ndarray:
    """Return ``(T,17,3)`` px and score, 1 and 0.5 as COCO can say; NaN and 0 where ``walk`` is hidden."""
    points = np.full((frames, 17, 3), [np.nan, np.nan, 0])
    for frame in range(frames):
        if walk.seen(frame / RATE):
            points[frame, :, :2] = projected(walk.joints(frame / RATE), CALIBRATION)
            points[frame, :, 2] = np.where(np.arange(17) % 2, 1.0, 0.5)
    return points


def one_person() -> np.ndarray:
    """Return a walker who comes in frame 3, is hidden in frames 10 and 11, and whose left wrist is never seen."""
    points = walker(
        Walk((-1, 9), (1.2, 0.3), enter_s=3 / RATE - 1e-6, hidden_s=((10 / RATE - 1e-6, 12 / RATE - 1e-6),))
    )
    points[:, COCO17.index("left_wrist")] = [np.nan, np.nan, 0]
    return points


def two_people() -> dict[int, np.ndarray]:
    """Return two who walk past each other 2 m apart, the second of whom comes first in half of the frames."""
    return {4: walker(Walk((-1.5, 9), (1.5, 0))), 7: walker(Walk((1.5, 11), (-1.5, 0)))}


def read(path: Path, kind: str, *, layout: str | None = None, fps: float | None = None) -> list[Keypoints2D]:
    given = None if kind in HAS_TIMES else fps or RATE
    return people_of(read_sightings(path, layout=layout), CALIBRATION, given)


def written(folder: Path, kind: str, people: People, *, named: bool, layout: str = "coco17") -> Path:
    folder.mkdir(exist_ok=True)
    return WRITERS[kind](folder, people, layout=layout, named=named)


def test_every_format_has_a_writer_to_be_held_against() -> None:
    assert set(FORMATS) == set(WRITERS)


@pytest.mark.parametrize(("kind", "named"), CASES)
def test_one_person_comes_back_with_pixels_scores_and_times(tmp_path: Path, kind: str, named: bool) -> None:
    points = one_person()
    (person,) = read(written(tmp_path / 'a "b" <c>', kind, {1: points}, named=named), kind)
    np.testing.assert_array_equal(person.frames, np.arange(3, 30))
    np.testing.assert_allclose(person.time_s, np.arange(3, 30) / RATE)
    np.testing.assert_allclose(person.xy, points[3:, :, :2], atol=1e-9)  # px
    np.testing.assert_allclose(person.score, points[3:, :, 2])
    assert not person.seen[[7, 8]].any()
    assert (person.person, person.skeleton) == (1, "coco17")


@pytest.mark.parametrize("kind", NAMES_PEOPLE)
def test_identities_of_the_file_are_kept(tmp_path: Path, kind: str) -> None:
    people = two_people()
    found = read(written(tmp_path, kind, people, named=True), kind)
    assert [person.person for person in found] == [4, 7]
    for person, points in zip(found, people.values(), strict=True):
        np.testing.assert_allclose(person.xy, points[..., :2], atol=1e-9)  # px


@pytest.mark.parametrize("kind", sorted(set(NAMES_PEOPLE) - {"results"}))
def test_an_identity_that_counts_from_0_becomes_person_1(tmp_path: Path, kind: str) -> None:
    people = dict(enumerate(two_people().values()))
    assert [person.person for person in read(written(tmp_path, kind, people, named=True), kind)] == [1, 2]


@pytest.mark.parametrize("kind", JSON)
def test_people_without_identities_are_followed(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    first, second = two_people().values()
    swapped = np.arange(30) % 2 == 1
    shuffled = {1: np.where(swapped[:, None, None], second, first), 2: np.where(swapped[:, None, None], first, second)}
    found = read(written(tmp_path, kind, shuffled, named=False), kind)
    assert len(found) == 2
    for person in found:
        apart = [np.abs(person.xy - points[..., :2]).max() for points in (first, second)]
        assert min(apart) < 1e-9  # px: one of the two, in every frame
    assert "2 people were followed on the ground, 0 of 60 sightings" in caplog.text


@pytest.mark.parametrize("kind", JSON)
def test_people_without_identities_who_move_too_far_between_frames_are_refused(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, two_people(), named=False)
    with pytest.raises(KeypointsError, match="expected an identity"):
        read(path, kind, fps=2.0)


@pytest.mark.parametrize("kind", JSON)
def test_a_frame_rate_is_never_assumed(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, {1: one_person()}, named=False)
    with pytest.raises(KeypointsError, match="give --fps") as caught:
        people_of(read_sightings(path), CALIBRATION, None)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", HAS_TIMES)
def test_a_frame_rate_against_times_is_refused(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, {1: one_person()}, named=kind == "results")
    with pytest.raises(ConfigError, match="has its own time_s"):
        people_of(read_sightings(path), CALIBRATION, RATE)


@pytest.mark.parametrize("layout", ["coco18", "body25", "halpe26", "blazepose33", "wholebody133"])
@pytest.mark.parametrize("kind", JSON)
def test_other_joint_sets_are_told_by_their_length(tmp_path: Path, kind: str, layout: str) -> None:
    points = one_person()
    (person,) = read(written(tmp_path, kind, {1: points}, named=False, layout=layout), kind)
    np.testing.assert_allclose(person.xy, points[3:, :, :2], atol=1e-9)  # px


@pytest.mark.parametrize("kind", ["openpose", "coco-results", "alphapose"])
def test_a_joint_set_of_a_misleading_length_can_be_named(tmp_path: Path, kind: str) -> None:
    points = one_person()
    path = written(tmp_path, kind, {1: points}, named=False, layout="body25b")
    (person,) = read(path, kind, layout="body25b")
    np.testing.assert_allclose(person.xy, points[3:, :, :2], atol=1e-9)  # px
    with pytest.raises(KeypointsError, match="25 keypoints a person, which is not --skeleton coco18"):
        read(path, kind, layout="coco18")


def spoiled(folder: Path, kind: str, change: str) -> tuple[Path, Path]:
    """Write a file of ``kind`` and spoil it; return what to read, and the file that the error must name."""
    source = written(folder, kind, {1: one_person()}, named=False)
    path = sorted(source.glob("*.json"))[5] if source.is_dir() else source
    text = path.read_text()
    if change == "cut off":
        path.write_text(text[: len(text) // 2])
    elif change == "no keypoints":
        path.write_text(text.replace("keypoints", "nothing"))
    else:
        content = json.loads(text.replace("null", "0"))
        path.write_text(json.dumps(_shorter(content)))
    return source, path


def _shorter(content: object) -> object:
    """Return ``content`` without the last number of every list of numbers."""
    if isinstance(content, dict):
        return {key: _shorter(value) for key, value in content.items()}
    if isinstance(content, list):
        numbers = len(content) > 1 and all(isinstance(value, (int, float)) for value in content)
        return content[:-1] if numbers else [_shorter(value) for value in content]
    return content


@pytest.mark.parametrize("change", ["cut off", "no keypoints", "shorter"])
@pytest.mark.parametrize("kind", JSON)
def test_a_spoiled_file_is_named_with_what_was_expected(tmp_path: Path, kind: str, change: str) -> None:
    source, path = spoiled(tmp_path, kind, change)
    with pytest.raises(KeypointsError, match="expected") as caught:
        read_sightings(source, kind=kind)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", sorted(set(JSON) - {"coco"}))  # which has flags for scores
def test_scores_a_little_above_1_count_as_1_and_others_are_refused(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    points = one_person()
    points[5, 0, 2] = 1.2
    (person,) = read(written(tmp_path, kind, {1: points}, named=False), kind)
    assert person.score[2, 0] == 1.0
    assert "above 1 and count as 1" in caplog.text
    points[5, 0, 2] = 87.0
    with pytest.raises(KeypointsError, match=r"expected scores in \[0, 1\], got 87"):
        read(written(tmp_path, kind, {1: points}, named=False), kind)


@pytest.mark.parametrize("kind", JSON)
def test_a_file_without_anybody_is_refused(tmp_path: Path, kind: str) -> None:
    nobody = np.full((4, 17, 3), [np.nan, np.nan, 0])
    path = written(tmp_path, kind, {1: nobody}, named=False)
    with pytest.raises(KeypointsError, match="at least one keypoint"):
        read_sightings(path, kind=kind)


def test_what_looks_like_no_format_is_refused_with_all_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"hello": 1}')
    for unknown in (path, tmp_path):
        with pytest.raises(KeypointsError, match="looks like no format") as caught:
            read_sightings(unknown)
        assert all(f"{name}: " in str(caught.value) for name in FORMATS)
    with pytest.raises(KeypointsError, match="no such file"):
        read_sightings(tmp_path / "absent.json")


def test_coco_takes_its_frames_and_rate_from_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "coco", {1: one_person()}, named=False)
    content = json.loads(path.read_text())
    for place, image in enumerate(content["images"]):
        image["frame_id"] = 2 * place
    path.write_text(json.dumps({**content, "videos": [{"id": 1, "fps": 50}]}))
    (person,) = people_of(read_sightings(path), CALIBRATION, None)
    np.testing.assert_allclose(person.time_s, np.arange(6, 60, 2) / 50)
    with pytest.raises(ConfigError, match="says 50 frames a second"):
        people_of(read_sightings(path), CALIBRATION, 25.0)


def test_somebody_who_is_twice_in_a_frame_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "alphapose", {1: one_person()}, named=True)
    content = json.loads(path.read_text())
    path.write_text(json.dumps([*content, content[0]]))
    with pytest.raises(KeypointsError, match="expected person 1 once in frame 3, got 2"):
        read(path, "alphapose")


def test_identities_for_some_alone_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "coco-results", {1: one_person()}, named=True)
    content = json.loads(path.read_text())
    del content[0]["track_id"]
    path.write_text(json.dumps(content))
    with pytest.raises(KeypointsError, match="got 24 of 25"):
        read(path, "coco-results")


@pytest.mark.parametrize(
    ("layout", "said"),
    [("halpe26", None), ("coco17", None), ("wholebody133", None), ("body25", None), ("body25b", "body25b")],
)
def test_a_json_folder_of_pose2sim_is_read(tmp_path: Path, layout: str, said: str | None) -> None:
    points = one_person()
    (person,) = read(write_pose2sim(tmp_path, {1: points}, layout=layout), "openpose", layout=said)
    np.testing.assert_array_equal(person.frames, np.arange(3, 30))
    np.testing.assert_allclose(person.xy, points[3:, :, :2], atol=1e-9)  # px
    assert not person.seen[[7, 8]].any()


def test_body25b_without_its_name_is_taken_for_body25(tmp_path: Path) -> None:
    """Both have 25: that is why ``--skeleton`` is there."""
    (person,) = read(write_pose2sim(tmp_path, {1: one_person()}, layout="body25b"), "openpose")
    assert np.nanmax(np.abs(person.xy - one_person()[3:, :, :2])) > 10  # px


def test_several_people_of_pose2sim_are_followed_through_rows_of_nan(tmp_path: Path) -> None:
    first, second = two_people().values()
    second[:6] = [np.nan, np.nan, 0]
    people = read(write_pose2sim(tmp_path, {0: first, 1: second}), "openpose")
    assert len(people) == 2
    assert sorted(int(person.seen.sum()) for person in people) == [24, 30]


def test_frames_of_a_piece_of_a_clip_keep_their_numbers(tmp_path: Path) -> None:
    (person,) = read(write_pose2sim(tmp_path, {1: one_person()}, first=250), "openpose")
    np.testing.assert_array_equal(person.frames, np.arange(253, 280))
    np.testing.assert_allclose(person.time_s[0], 253 / RATE)


def test_the_folder_above_the_cameras_is_refused_with_their_names(tmp_path: Path) -> None:
    target = write_pose2sim(tmp_path, {1: one_person()})
    (target.parent / "cam02_json").mkdir()
    with pytest.raises(KeypointsError, match=r"one camera, got .*: cam01_json, cam02_json. Give one") as caught:
        read_sightings(target.parent)
    assert str(target.parent) in str(caught.value)


def test_a_json_folder_of_sports2d_is_read(tmp_path: Path) -> None:
    points = one_person()
    (person,) = read(write_sports2d(tmp_path, points), "openpose")
    np.testing.assert_array_equal(person.frames, np.arange(3, 30))
    np.testing.assert_allclose(person.xy, points[3:, :, :2], atol=1e-9)  # px
    assert not person.seen[[7, 8]].any()
