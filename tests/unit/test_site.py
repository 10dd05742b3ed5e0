"""site.yaml and folders of videos: what is read, and a refusal that names file and key for everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mocap_video.errors import ConfigError, VideoError
from mocap_video.pipeline.site import FloorPlan, Site, read_site

CAMERA = "{name: deck, calib: deck.yaml, recordings: ['rec/*.mp4']}"


def site(folder: Path, text: str) -> Site:
    path = folder / "yard.yaml"
    path.write_text(text)
    Image.new("RGB", (8, 6)).save(folder / "plan.png")
    return read_site(path)


def test_everything_in_it_is_read(tmp_path: Path) -> None:
    read = site(
        tmp_path,
        """
version: 1
name: my yard
cameras:
  - {name: deck, calib: deck.yaml, recordings: ["/data/deck/*.mp4", "rec/a.mp4", "s3://bucket/*.mp4"]}
  - {name: gate, calib: /data/gate.yaml, recordings: /data/gate/**/*.mp4,
     options: {people: [1, 3], height: 1.8, start: 2, export: csv, trust: true, smpl_model: body.pkl, config: my.yaml}}
floor_plan: {image: plan.png, metres_per_pixel: 0.02, origin_px: [4, 3], x_axis_deg: 90}
zones:
  - {name: queue, polygon: [[0, 0], [4, 0], [4, 2]]}
ground_axes: [z, x]
""",
    )
    deck, gate = read.cameras
    assert read.name == "my yard"
    assert deck.calib == str(tmp_path / "deck.yaml")
    assert deck.recordings == ("/data/deck/*.mp4", str(tmp_path / "rec/a.mp4"), "s3://bucket/*.mp4")
    assert gate.arguments == (
        "--people=1,3", "--height=1.8", "--start=2", "--export=csv", "--trust",
        f"--smpl-model={tmp_path / 'body.pkl'}", f"--config={tmp_path / 'my.yaml'}",
    )  # fmt: skip
    assert read.plan == FloorPlan(tmp_path / "plan.png", 0.02, (4.0, 3.0), np.pi / 2)
    assert read.zones[0].polygon == ((0.0, 0.0), (4.0, 0.0), (4.0, 2.0))
    assert read.ground_axes == ("z", "x")


def test_a_plan_puts_metres_where_its_axes_point() -> None:
    """Origin at (100, 200) px; 2 cm a pixel; y runs up the picture unless the plan is turned."""
    ground = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    flat = FloorPlan(Path("plan.png"), 0.02, (100.0, 200.0))
    np.testing.assert_allclose(flat.pixels(ground), [[100, 200], [150, 200], [100, 150]], atol=1e-9)
    turned = FloorPlan(Path("plan.png"), 0.02, (100.0, 200.0), np.pi / 2)
    np.testing.assert_allclose(turned.pixels(ground), [[100, 200], [100, 150], [50, 200]], atol=1e-9)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("", "yard.yaml", "empty file"),
        ("cameras: []", "cameras", "a list of cameras"),
        ("cameras: [deck]", "cameras[0]", "a mapping"),
        ("zones: []", "cameras", "missing"),
        (f"camera: [{CAMERA}]", "camera", "Did you mean 'cameras'?"),
        (f"version: 2\ncameras: [{CAMERA}]", "version", "newer"),
        (f"cameras: [{CAMERA}, {CAMERA}]", "cameras", "'deck' twice"),
        (f"cameras: [{CAMERA}, {CAMERA.replace('deck,', 'Deck,')}]", "cameras", "'Deck' twice"),
        ("cameras: [{name: deck, calib: c.yaml}]", "cameras[0].recordings", "missing"),
        ("cameras: [{name: ../deck, calib: c.yaml, recordings: x}]", "cameras[0].name", "becomes a folder"),
        ("cameras: [{name: .deck, calib: c.yaml, recordings: x}]", "cameras[0].name", "becomes a folder"),
        ("cameras: [{name: '', calib: c.yaml, recordings: x}]", "cameras[0].name", "becomes a folder"),
        ("cameras: [{name: deck, calib: 3, recordings: x}]", "cameras[0].calib", "a path"),
        ("cameras: [{name: deck, calib: c.yaml, recordings: []}]", "cameras[0].recordings", "a list of recordings"),
        ("cameras: [{name: deck, calib: c.yaml, recordings: [1]}]", "cameras[0].recordings[0]", "a path"),
        ("cameras: [{name: deck, calib: c.yaml, recordings: x, option: {}}]", "option", "Did you mean 'options'?"),
    ],
)
def test_a_wrong_site_is_refused_by_file_and_key(tmp_path: Path, text: str, key: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        site(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "yard.yaml"))
    assert key in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("{hight: 1.8}", "Did you mean 'height'?"),
        ("{calib: x}", "unknown option"),
        ("{output: x}", "unknown option"),
        ("{height: 5}", "'--height'"),
        ("{height: tall}", "'--height'"),
        ("{people: [0]}", "'--people'"),
        ("{export: docx}", "got docx"),
        ("{device: tpu}", "'--device'"),
        ("{trust: yes please}", "true or false"),
        ("{seed: {a: 1}}", "a text, a number"),
        ("[height]", "a mapping"),
    ],
)
def test_options_are_those_of_run(tmp_path: Path, options: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        site(tmp_path, f"cameras: [{CAMERA[:-1]}, options: {options}}}]")
    assert "yard.yaml: cameras[0].options" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("floor_plan: plan.png", "floor_plan"),
        ("floor_plan: {image: no.png, metres_per_pixel: 0.1, origin_px: [0, 0]}", "floor_plan.image"),
        ("floor_plan: {image: plan.png, metres_per_pixel: 0, origin_px: [0, 0]}", "floor_plan.metres_per_pixel"),
        ("floor_plan: {image: plan.png, metres_per_pixel: .nan, origin_px: [0, 0]}", "floor_plan.metres_per_pixel"),
        ("floor_plan: {image: plan.png, metres_per_pixel: 0.1, origin_px: [0]}", "floor_plan.origin_px"),
        ("floor_plan: {image: plan.png, metres_per_pixel: 0.1}", "floor_plan.origin_px"),
        ("zones: [{name: a, polygon: [[0, 0], [1, 0]]}]", "zones[0].polygon"),
        ("zones: [{name: a, polygon: [[0, 0], [1, 1], [2, 2]]}]", "zones[0].polygon"),
        ("zones: [{name: a, polygon: [[0, 0], [2, 2], [2, 0], [0, 1]]}]", "zones[0].polygon"),
        ("zones: [{name: a, polygon: [[0, 0, 0], [1, 0], [1, 1]]}]", "zones[0].polygon[0]"),
        ("zones: [{polygon: [[0, 0], [1, 0], [1, 1]]}]", "zones[0].name"),
        ("zones: [{name: a, polygon: [[0,0],[1,0],[1,1]]}, {name: A, polygon: [[0,0],[1,0],[1,1]]}]", "zones"),
        ("ground_axes: [x, -x]", "ground_axes"),
        ("ground_axes: [x, w]", "ground_axes"),
    ],
)
def test_a_wrong_plan_or_zone_is_refused_by_its_key(tmp_path: Path, part: str, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        site(tmp_path, f"cameras: [{CAMERA}]\n{part}")
    assert f"yard.yaml: {key}: " in str(refused.value)


def test_a_folder_is_a_camera_for_each_folder_of_videos(tmp_path: Path) -> None:
    for name in ("a.mp4", "B.MOV", "notes.txt", ".hidden.mp4", "deck/x.mkv", "done/overlay.mp4", "done/report.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    read = read_site(tmp_path)
    assert [(camera.name, camera.recordings) for camera in read.cameras] == [
        (tmp_path.name, (str(tmp_path / "B.MOV"), str(tmp_path / "a.mp4"))),
        ("deck", (str(tmp_path / "deck" / "x.mkv"),)),
    ]
    assert all(camera.calib is None for camera in read.cameras)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="expected videos"):
        read_site(tmp_path)
