"""Calibration from boards rendered through known lenses: what comes back, what is refused and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from mocap_video.calib import geometry
from mocap_video.calib.board import Board, BoardView, Charuco, find_board, other_pattern
from mocap_video.calib.board_lens import calibrate_lens, distinct_views
from mocap_video.calib.board_pose import pose_over_board
from mocap_video.calib.checks import summarize
from mocap_video.calib.files import read_calibration, read_lens, write_lens
from mocap_video.calib.mount import Mount
from mocap_video.errors import CalibrationError, ConfigError
from mocap_video.pipeline.cli import main
from mocap_video.pipeline.video import VideoWriter
from mocap_video.types import Camera
from synth.boards import BoardPhotographer, BoardPose, held_up, lying
from synth.cameras import make_camera

SIZE = (640, 360)
BOARD = Board(9, 6, 0.025)
CHARUCO = Board(7, 5, 0.04, Charuco("5X5_100", 0.03))
LENSES = {
    "pinhole": make_camera(size=SIZE, hfov_deg=65),
    "barrel": make_camera("opencv", (-0.3, 0.08, 0.001, -0.002, 0.0), size=SIZE, hfov_deg=85),
    "fisheye": make_camera("fisheye", (0.03, -0.01, 0.002, 0.0), size=SIZE, hfov_deg=150),
}


def placed(camera: Camera, pose: BoardPose) -> Camera:
    return replace(camera, R_cam_from_world=pose.R, t_cam_from_world=pose.t)


def seen(
    board: Board, camera: Camera, count: int, rng: np.random.Generator, *, noise_px: float = 0.05, tilt_deg: float = 45
) -> list[BoardView]:
    """Return what a corner finder with ``noise_px`` of error makes of so many poses."""
    views = []
    for number in range(count):
        pose = held_up(board, camera, rng, tilt_deg=tilt_deg)
        pixels = geometry.project(torch.from_numpy(board.points), placed(camera, pose))[0].numpy()
        pixels = pixels + noise_px * rng.normal(size=pixels.shape)
        outline = pixels[[0, board.columns - 1, -1, -board.columns]]
        views.append(BoardView(f"view {number}", np.arange(len(pixels)), pixels, outline, 0.4))
    return views


@pytest.fixture(scope="module")
def photographed() -> dict[str, np.ndarray]:
    """A checkerboard in the fisheye's picture, and a ChArUco board in the pinhole's."""
    return {
        "fisheye": BoardPhotographer(BOARD, LENSES["fisheye"]).picture(
            held_up(BOARD, LENSES["fisheye"], np.random.default_rng(3)), np.random.default_rng(4)
        ),
        "pinhole": BoardPhotographer(CHARUCO, LENSES["pinhole"]).picture(
            held_up(CHARUCO, LENSES["pinhole"], np.random.default_rng(3)), np.random.default_rng(4)
        ),
    }


@pytest.mark.parametrize(("lens", "board"), [("fisheye", BOARD), ("pinhole", CHARUCO)], ids=["plain", "charuco"])
def test_corners_are_found_where_they_are(photographed: dict[str, np.ndarray], lens: str, board: Board) -> None:
    view = find_board(photographed[lens], board, "it")
    assert view is not None
    pose = held_up(board, LENSES[lens], np.random.default_rng(3))
    true = geometry.project(torch.from_numpy(board.points[view.rows]), placed(LENSES[lens], pose))[0].numpy()
    error = np.linalg.norm(true - view.pixels, axis=-1)
    assert np.sqrt(np.square(error).mean()) < 0.15  # px, of 3 grey levels of noise
    assert 0.2 < view.sharpness < 0.7


def test_a_blurred_board_is_told_by_its_edges(photographed: dict[str, np.ndarray]) -> None:
    sharp = find_board(photographed["fisheye"], BOARD, "sharp")
    blurred = find_board(cv2.blur(photographed["fisheye"], (9, 1)), BOARD, "moved sideways", thorough=True)
    assert sharp is not None
    assert blurred is None or blurred.sharpness < 0.7 * sharp.sharpness


def test_counted_squares_are_recognised(photographed: dict[str, np.ndarray]) -> None:
    picture = photographed["fisheye"]
    squares = Board(10, 7, 0.025)
    assert find_board(picture, squares, "it", thorough=True) is None
    assert other_pattern([picture], squares) == (9, 6)
    assert other_pattern([np.full((360, 640), 128, np.uint8)], squares) is None


@pytest.mark.parametrize("name", LENSES)
def test_the_lens_comes_back_and_its_model_is_chosen(name: str) -> None:
    camera = LENSES[name]
    fit = calibrate_lens(seen(BOARD, camera, 15, np.random.default_rng(0)), BOARD, SIZE)
    assert fit.lens.distortion == ("fisheye" if name == "fisheye" else "opencv")
    assert abs(fit.lens.K[0, 0] / camera.K[0, 0] - 1) < max(4 * fit.focal_spread, 2e-3)
    assert fit.focal_spread < 2e-3
    assert fit.rms_px == pytest.approx(0.05 * np.sqrt(2), rel=0.2)
    x, y = (np.linspace(0.15, 0.85, 9) * (side - 1) for side in SIZE)
    pixels = torch.from_numpy(np.stack(np.meshgrid(x, y), -1))
    back = [geometry.normalized_from_pixels(pixels, lens) for lens in (camera, fit.lens)]
    again = geometry.pixels_from_normalized(back[0], fit.lens)
    assert float((again - pixels).norm(dim=-1).max()) < 2.0  # px: pose absorbs a shift of the centre
    assert fit.left_out == ()


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_a_strong_barrel_is_not_taken_for_an_ideal_lens(seed: int) -> None:
    """Of these views, fits to four fifths lose their rays in the corners, or start far from the best."""
    camera = make_camera("opencv", (-0.28, 0.04, 0, 0, 0), size=(1280, 720), hfov_deg=74)
    board = Board(9, 6, 0.1)
    fit = calibrate_lens(seen(board, camera, 15, np.random.default_rng(seed), noise_px=0.1), board, camera.size)
    assert fit.model == "opencv, five coefficients"
    assert abs(fit.lens.K[0, 0] / camera.K[0, 0] - 1) < 2e-3
    assert fit.rms_px == pytest.approx(0.1 * np.sqrt(2), rel=0.2)


def test_square_pixels_without_distortion_need_no_more() -> None:
    K = np.array([[500.0, 0, 319.5], [0, 500.0, 179.5], [0, 0, 1]])
    ideal = Camera(K, np.eye(3), np.zeros(3), SIZE)
    fit = calibrate_lens(seen(BOARD, ideal, 15, np.random.default_rng(1)), BOARD, SIZE)
    assert fit.model == "no distortion"
    assert fit.lens.K[0, 0] == fit.lens.K[1, 1]


def test_a_wrong_view_is_left_out_and_named() -> None:
    rng = np.random.default_rng(2)
    views = seen(BOARD, LENSES["pinhole"], 12, rng)
    bent = views[4].pixels + 6 * np.sin(np.arange(54) / 9)[:, None]
    views[4] = replace(views[4], pixels=bent)
    fit = calibrate_lens(views, BOARD, SIZE)
    assert fit.left_out == ("view 4",)
    assert any("view 4" in text for text in fit.warnings())


def test_poses_that_do_not_show_the_focal_length_are_refused() -> None:
    rng = np.random.default_rng(5)
    narrow = make_camera(size=SIZE, hfov_deg=12)  # all rays nearly straight ahead, so all boards face it alike
    with pytest.raises(CalibrationError, match=r"all alike: they are turned by .* degrees.*tilt it"):
        calibrate_lens(seen(BOARD, narrow, 10, rng, tilt_deg=2), BOARD, SIZE)
    still = [replace(view, source=f"{i}") for i, view in enumerate(seen(BOARD, LENSES["pinhole"], 1, rng) * 20)]
    with pytest.raises(CalibrationError, match=r"all alike: of 20 pictures with the board only 1 differ"):
        calibrate_lens(still, BOARD, SIZE)
    with pytest.raises(CalibrationError, match=r"at least 6 pictures.*got 4"):
        calibrate_lens(seen(BOARD, LENSES["pinhole"], 4, rng), BOARD, SIZE)


def test_sharp_views_stand_for_their_blurred_neighbours() -> None:
    views = seen(BOARD, LENSES["pinhole"], 8, np.random.default_rng(6))
    blurred = [replace(view, sharpness=0.1, source="blurred") for view in views]
    chosen = distinct_views([*blurred, *views], SIZE)
    assert len(chosen) >= 6
    assert all(view.source != "blurred" for view in chosen)


def test_what_was_not_covered_is_said() -> None:
    views = seen(BOARD, LENSES["pinhole"], 40, np.random.default_rng(7))
    left = [view for view in views if view.pixels[:, 0].max() < 400]
    assert len(left) >= 6
    fit = calibrate_lens(left, BOARD, SIZE)
    assert "right" in fit.bare
    assert fit.covered < 0.75
    assert any("not seen at the" in text for text in fit.warnings())


def test_a_board_on_the_ground_gives_the_pose_and_the_site_frame() -> None:
    rng = np.random.default_rng(8)
    board, mount = Board(9, 6, 0.1), Mount(2.6, np.radians(22), np.radians(1.5))
    truth = mount.calibration(LENSES["barrel"])
    pose = lying(board, truth, 4.0)
    pixels = geometry.project(torch.from_numpy(board.points), placed(truth.camera, pose))[0].numpy()
    view = BoardView("it", np.arange(54), pixels + 0.1 * rng.normal(size=(54, 2)), np.zeros((4, 2)), 0.4)
    fit = pose_over_board(view, board, truth.camera, thickness_m=0.02, focal_spread=0.002)
    said = summarize(fit.calibration)
    assert said.height_m == pytest.approx(2.62, abs=0.03)  # metres; the face lies 2 cm over the ground
    assert said.tilt_down_deg == pytest.approx(22, abs=0.3)
    assert said.roll_deg == pytest.approx(1.5, abs=0.3)
    camera = fit.calibration.camera
    origin = geometry.project(torch.tensor([[0.0, 0.0, 0.02]], dtype=torch.float64), camera)[0].numpy()
    np.testing.assert_allclose(origin[0], pixels[45], atol=0.5)  # px: the corner at the lower left
    assert 0.05 < fit.uncertainty.tilt_deg < 0.5
    assert fit.uncertainty.focal == pytest.approx(0.002, rel=0.05)


def test_boards_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"at least 3 x 3"):
        Board(2, 6, 0.025)
    with pytest.raises(ConfigError, match=r"5X5_100"):
        Board(9, 6, 0.025, Charuco("SECRET", 0.01))
    with pytest.raises(ConfigError, match=r"less than --square-mm"):
        Board(9, 6, 0.025, Charuco("5X5_100", 0.03))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of a moved board, a clip of it lying on the ground, and a clip without one."""
    folder = tmp_path_factory.mktemp("board 'x' <y>")
    rng, camera = np.random.default_rng(9), LENSES["barrel"]
    photographer = BoardPhotographer(BOARD, camera, fine=2)
    (folder / "moved").mkdir()
    for number in range(16):
        picture = photographer.picture(held_up(BOARD, camera, rng), rng)
        cv2.imwrite(str(folder / "moved" / f"{number}.png"), picture)
    large = Board(9, 6, 0.12)
    site = Mount(2.6, np.radians(22), 0.0).calibration(camera)
    lies = BoardPhotographer(large, camera, fine=2).picture(lying(large, site, 3.0, 15), rng)
    for name, picture in (("lying.mp4", lies), ("nothing.mp4", np.full(SIZE[::-1], 120, np.uint8))):
        with VideoWriter(folder / name, SIZE) as video:
            for frame in range(3):
                video.write(np.repeat(picture[..., None], 3, 2), frame / 15)
    write_lens(camera, folder / "lens.yaml")
    return folder


def from_board(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["calib", "from-board", *map(str, arguments)])


def test_pictures_give_a_lens_file_and_a_picture_of_the_coverage(recording: Path, tmp_path: Path) -> None:
    result = from_board(
        recording / "moved", "--pattern", "9x6", "--square-mm", 25, "-o", tmp_path / "lens.yaml", "--json"
    )
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["model"].startswith("opencv")
    assert len(said["pictures"]) >= 6
    lens = read_lens(tmp_path / "lens.yaml")
    assert lens.K[0, 0] == pytest.approx(LENSES["barrel"].K[0, 0], rel=0.01)
    assert Image.open(said["proof"]).size[0] == 1600


def test_a_clip_of_a_board_on_the_ground_gives_a_cam_yaml(recording: Path, tmp_path: Path) -> None:
    options = ["--pattern", "9x6", "--square-mm", 120, "--lens", recording / "lens.yaml"]
    result = from_board("--ground", recording / "lying.mp4", *options, "-o", tmp_path / "cam.yaml")
    assert result.exit_code == 0, result.output
    said = summarize(read_calibration(tmp_path / "cam.yaml"))
    assert said.height_m == pytest.approx(2.6, abs=0.05)
    assert said.tilt_down_deg == pytest.approx(22, abs=0.6)
    assert "site frame: z up, origin under the board's nearest left corner" in result.output
    assert (tmp_path / "cam.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["{}/nothing.mp4", "--pattern", "9x6"], 3, "not found in any of 1 pictures"),
        (["{}/moved", "--pattern", "10x7"], 3, "give --pattern 9x6"),
        (["--pattern", "9x6"], 2, "or --lens"),
        (["--pattern", "9x6", "--lens", "{}/lens.yaml"], 2, "Give --ground"),
        (["{}/moved", "--pattern", "9by6"], 2, "9x6"),
        (["{}/moved", "--pattern", "9x6", "--charuco", "5X5_100"], 2, "--marker-mm"),
        (["{}/lens.yaml", "--pattern", "9x6"], 3, "lens.yaml"),
    ],
)
def test_refusals(recording: Path, tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    filled = [argument.replace("{}", str(recording)) for argument in arguments]
    result = from_board(*filled, "--square-mm", 25, "-o", tmp_path / "out.yaml")
    assert result.exit_code == code, result.output
    assert text in result.stderr
    assert not (tmp_path / "out.yaml").exists()
