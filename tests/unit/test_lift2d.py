"""Keypoints in an npz, the plainest input of ``lift``: what it may hold, and a reason for every refusal."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mocap_video.detectors.files.formats import read_sightings
from mocap_video.detectors.files.identity import people_of
from mocap_video.errors import ConfigError, KeypointsError
from mocap_video.pipeline.lift2d import check_in_image
from mocap_video.types import Keypoints2D
from synth.walkers import site_calibration

T = 6


def good() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(100, 500, (T, 17, 2)), rng.uniform(0.1, 1, (T, 17, 1))], -1)
    return {"keypoints2d": points, "time_s": np.arange(T) / 30}


def written(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / 'it\'s a "person" <1>.npz'
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    return path


def test_a_good_file_is_read_as_it_stands(tmp_path: Path) -> None:
    arrays = good()
    read = read_keypoints(written(tmp_path, arrays))
    assert read.skeleton == "coco17"
    np.testing.assert_array_equal(read.frames, np.arange(T))
    np.testing.assert_array_equal(read.xy, arrays["keypoints2d"][..., :2])
    np.testing.assert_array_equal(read.score, arrays["keypoints2d"][..., 2])
    np.testing.assert_array_equal(read.time_s, arrays["time_s"])


def test_missing_keypoints_become_nan_and_empty_ends_are_cut(tmp_path: Path) -> None:
    arrays = good()
    arrays["keypoints2d"][0] = [np.nan, np.nan, 0]
    arrays["keypoints2d"][3] = [0, 0, 0]
    arrays["keypoints2d"][5, :, 2] = 0
    read = read_keypoints(written(tmp_path, arrays))
    np.testing.assert_array_equal(read.frames, [1, 2, 3, 4])
    np.testing.assert_array_equal(read.time_s, arrays["time_s"][1:5])
    assert np.isnan(read.xy[2]).all()
    np.testing.assert_array_equal(read.seen, [True, True, False, True])


def test_fps_stands_in_for_times_that_are_not_there(tmp_path: Path) -> None:
    arrays = good()
    del arrays["time_s"]
    path = written(tmp_path, arrays)
    np.testing.assert_allclose(read_keypoints(path, fps=50).time_s, np.arange(T) / 50)
    with pytest.raises(KeypointsError, match="give --fps"):
        read_keypoints(path)


def test_fps_against_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has its own time_s"):
        read_keypoints(written(tmp_path, good()), fps=50)


def test_the_skeleton_of_the_file_and_of_the_option_agree_or_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {**good(), "skeleton": np.array("coco17")})
    assert read_keypoints(path, skeleton="coco17").skeleton == "coco17"
    with pytest.raises(KeypointsError, match="says 'coco17', --skeleton says 'smpl24'"):
        read_keypoints(path, skeleton="smpl24")
    with pytest.raises(KeypointsError, match="skeleton: expected one of"):
        read_keypoints(written(tmp_path, {**good(), "skeleton": np.array("openpose")}))


def read_keypoints(path: Path, *, skeleton: str | None = None, fps: float | None = None) -> Keypoints2D:
    """Return the one person of an npz."""
    (person,) = people_of(read_sightings(path, layout=skeleton), site_calibration(), fps)
    return person


def smpl24() -> np.ndarray:
    return np.ones((T, 24, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints2d": None}, "expected an array keypoints2d"),
        ({"keypoints2d": np.ones((T, 17, 2))}, r"expected \(T, 17, 3\) numbers for coco17, got \(6, 17, 2\)"),
        ({"keypoints2d": np.ones((T, 51))}, r"got \(6, 51\)"),
        ({"keypoints2d": np.ones((0, 17, 3)), "time_s": np.ones(0)}, r"got \(0, 17, 3\)"),
        ({"keypoints2d": smpl24()}, "use --skeleton smpl24"),
        ({"keypoints2d": np.full((T, 17, 3), "a")}, "numbers"),
        ({"keypoints2d": np.full((T, 17, 3), 1.0).astype(object)}, "without Python objects"),
        ({"time_s": np.arange(T).astype(object)}, "without Python objects"),
        ({"keypoints2d": np.full((T, 17, 3), 2.0)}, r"scores in \[0, 1\], got 2"),
        ({"keypoints2d": np.full((T, 17, 3), -0.5)}, r"scores in \[0, 1\], got -0.5"),
        ({"keypoints2d": np.full((T, 17, 3), np.nan)}, r"scores in \[0, 1\], got nan"),
        ({"keypoints2d": np.full((T, 17, 3), [np.nan, 1, 1])}, "finite x and y"),
        ({"keypoints2d": np.full((T, 17, 3), [np.inf, 1, 1])}, "finite x and y"),
        ({"keypoints2d": np.full((T, 17, 3), [np.nan, np.nan, 0])}, "all are missing"),
        ({"time_s": np.arange(T + 1) / 30}, r"time_s: expected \(6,\) numbers, got \(7,\)"),
        ({"time_s": np.zeros(T)}, "increase from frame to frame"),
        ({"time_s": -np.arange(T) / 30}, "increase from frame to frame"),
        ({"time_s": np.array([0, 1, 2, np.nan, 4, 5])}, "finite seconds"),
    ],
)
def test_every_breach_of_the_format_is_named(tmp_path: Path, change: dict[str, np.ndarray], message: str) -> None:
    arrays = {key: value for key, value in {**good(), **change}.items() if value is not None}
    path = written(tmp_path, arrays)
    with pytest.raises(KeypointsError, match=message) as caught:
        read_keypoints(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("content", [b"", b"keypoints", b"PK\x03\x04 cut off", b"\x80\x04K\x01."])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "person.npz"
    path.write_bytes(content)
    with pytest.raises(KeypointsError, match="expected an npz"):
        read_keypoints(path)


def test_a_single_array_a_foreign_archive_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(KeypointsError, match="got a single array"):
        read_keypoints(tmp_path / "one.npy")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(KeypointsError, match="expected an array keypoints2d"):
        read_keypoints(tmp_path / "other.npz")
    whole = written(tmp_path, good()).read_bytes()
    (tmp_path / "damaged.npz").write_bytes(whole[:400] + bytes(64) + whole[464:])
    with pytest.raises(KeypointsError, match="expected an npz"):
        read_keypoints(tmp_path / "damaged.npz")


def keypoints_at(low: float, high: float) -> Keypoints2D:
    xy = np.random.default_rng(0).uniform(low, high, (T, 17, 2))
    return Keypoints2D(1, "coco17", np.arange(T), np.arange(T) / 30, xy, np.ones((T, 17)))


def test_coordinates_that_are_no_pixels_of_the_image_are_refused() -> None:
    path = Path("person.npz")
    check_in_image(path, keypoints_at(0, 600), (640, 480))
    check_in_image(path, keypoints_at(-100, 500), (640, 480))
    for low, high in ((0, 1), (-1, 1), (2000, 3000)):
        with pytest.raises(KeypointsError, match="expected pixels of the calibrated image, 640 x 480"):
            check_in_image(path, keypoints_at(low, high), (640, 480))
