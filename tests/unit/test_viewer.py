"""What the page shows is what the files say, and the page needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mocap_video.errors import ArtifactError
from mocap_video.lifter.body import load_body
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.pipeline import pages_files, viewer
from mocap_video.pipeline.pages_files import page_file, script
from mocap_video.pipeline.results import read_person
from mocap_video.pipeline.viewer import PersonView, read_page_data, write_page
from mocap_video.pipeline.viewer_body import light_body
from mocap_video.pipeline.viewer_pack import Packed, pack, pack_scaled
from mocap_video.skeletons import SMPL_PARENTS
from synth.reviews import FRAMES, RATE, walker, write_clip

MM = 0.001


def unpack(packed: Packed) -> np.ndarray:
    """Return the values as the page's ``unpack`` does."""
    numbers = np.frombuffer(base64.b64decode(packed.data), f"<{packed.kind}").astype(float)
    missing = {"i1": -128, "i2": -32768}.get(packed.kind)
    return np.where(numbers == missing, np.nan, numbers * packed.scale)


def posed(person: PersonView) -> tuple[np.ndarray, np.ndarray]:
    """Return what the page's bones make of a person: turns (P,24,3,3) and joints (P,24,3) m, site world."""
    local = matrix_from_rotvec(torch.from_numpy(unpack(person.rotvec).reshape(-1, 24, 3))).numpy()
    rest, trans = unpack(person.rest_joints).reshape(24, 3), unpack(person.trans).reshape(-1, 3)
    turned, joints = [local[:, 0]], [rest[0] + trans]
    for joint, parent in enumerate(SMPL_PARENTS[1:], 1):
        turned.append(turned[parent] @ local[:, joint])
        joints.append(joints[parent] + turned[parent] @ (rest[joint] - rest[parent]))
    return np.stack(turned, 1), np.stack(joints, 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "clip"
    return write_clip(folder, walker(1), walker(2, 1.2), flagging=lambda p, f: ["far"] * (p == 2 and f % 10 == 3))


def test_the_bones_of_the_page_stand_where_the_files_say(clip: Path) -> None:
    for person in read_page_data(clip).people:
        record = read_person(clip / "people" / f"{person.number:03d}.npz")
        np.testing.assert_allclose(posed(person)[1], record.smpl_joints_world, atol=1 * MM)
        np.testing.assert_allclose(unpack(person.pose_time), record.time_s, atol=1e-9)


def test_the_light_body_is_the_body(clip: Path) -> None:
    """Skinned as three.js does it, with four bones a vertex, against the whole body's own skinning."""
    light, body, person = light_body(), load_body("neutral"), read_page_data(clip).people[0]
    record = read_person(clip / "people" / "001.npz")
    turned, joints = posed(person)
    rest = unpack(person.rest_joints).reshape(24, 3)
    shaped = unpack(light.template).reshape(-1, 3)
    shaped = shaped + sum(
        beta * unpack(shape).reshape(-1, 3) for beta, shape in zip(record.betas, light.shapes, strict=True)
    )
    bones = unpack(light.bones).reshape(-1, 4).astype(int)
    weights = unpack(light.weights).reshape(-1, 4) / 255
    np.testing.assert_allclose(weights.sum(1), 1)
    row = 20
    moved = joints[row] - np.einsum("jab,jb->ja", turned[row], rest)
    per_bone = np.einsum("nkab,nb->nka", turned[row][bones], shaped) + moved[bones]
    skinned = (weights[..., None] * per_bone).sum(1)
    rotations = matrix_from_rotvec(torch.from_numpy(record.poses[row].reshape(1, 24, 3))).float()
    whole = body.vertices(
        torch.as_tensor(record.betas, dtype=torch.float32), rotations, torch.as_tensor(record.trans[row, None]).float()
    )[0].numpy()
    distance = np.linalg.norm(skinned[:, None] - whole[None], axis=-1).min(1)
    assert np.median(distance) < 1 * MM
    assert distance.max() < 15 * MM
    assert light.count < len(whole) / 3
    assert int(unpack(light.faces).max()) == light.count - 1


def test_timelines_are_those_of_the_files(clip: Path) -> None:
    data = read_page_data(clip)
    assert [flag.id for flag in data.flags] == ["far"]
    assert data.flags[0].sentence == "far from the camera"
    first, second = data.people
    record = read_person(clip / "people" / "001.npz")
    root = record.joints_world[:, 11:13].mean(1)
    np.testing.assert_allclose(unpack(first.root).reshape(-1, 3), root, atol=0.1 * MM)
    np.testing.assert_allclose(unpack(first.hip), root[:, 2], atol=0.1 * MM)
    np.testing.assert_allclose(unpack(first.spread), 0.05, atol=1e-5)
    np.testing.assert_array_equal(unpack(first.flags), 0)
    np.testing.assert_array_equal(np.flatnonzero(unpack(second.flags)) % 10, 3)
    assert first.colour != second.colour


def test_long_clips_are_thinned_by_the_stated_rule(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 person-frames: every 4th pose and the last, and 10 frames a point, of which the worst counts."""
    monkeypatch.setattr(viewer, "MOST_POSES", 25)
    monkeypatch.setattr(viewer, "MOST_POINTS", 10)
    data = read_page_data(clip)
    assert (data.pose_every, data.point_every) == (4, 10)
    full = read_person(clip / "people" / "002.npz")
    person = data.people[1]
    np.testing.assert_allclose(unpack(person.pose_time), full.time_s[[*range(0, FRAMES, 4), FRAMES - 1]])
    np.testing.assert_allclose(unpack(person.time), full.time_s[5::10])
    np.testing.assert_array_equal(unpack(person.flags), 1)


def test_gaps_in_numbers_survive_packing() -> None:
    values = np.array([0.0, -3.0, np.nan, 2.5])
    np.testing.assert_allclose(unpack(pack_scaled(values, "i2")), values, atol=3 / 32767)
    np.testing.assert_allclose(unpack(pack_scaled(values, "i1")), values, atol=3 / 127)
    np.testing.assert_array_equal(unpack(pack_scaled(np.full(2, np.nan), "i2")), [np.nan, np.nan])
    np.testing.assert_array_equal(unpack(pack(np.array([1, 4_000_000_000]), "u4")), [1, 4_000_000_000])


def test_another_body_is_drawn_as_limbs_and_its_mesh_is_not_in_the_page(tmp_path: Path) -> None:
    write_clip(tmp_path, walker(1))
    with np.load(tmp_path / "people" / "001.npz") as archive:
        arrays = {**archive, "body_model": np.array("SMPL 0123")}
    np.savez(tmp_path / "people" / "001.npz", allow_pickle=False, **arrays)
    data = read_page_data(tmp_path)
    assert data.body is None
    assert not data.people[0].has_mesh
    np.testing.assert_allclose(posed(data.people[0])[1], arrays["smpl_joints_world"], atol=1 * MM)


def test_videos_that_begin_later_say_where(tmp_path: Path) -> None:
    data = read_page_data(write_clip(tmp_path, walker(1, frames=20, first=30), videos=True, start_s=1.0))
    assert data.first_drawn_s == pytest.approx(1.0)
    assert data.last_s == pytest.approx((FRAMES - 1) / RATE)


def test_a_clip_in_which_nobody_is_has_a_page(tmp_path: Path) -> None:
    data = read_page_data(write_page(write_clip(tmp_path)).parent)
    assert (data.people, data.body, list(data.videos)) == ([], None, [])


def test_the_page_is_one_file_and_names_are_text(tmp_path: Path) -> None:
    name = 'it\'s "a" <!-- <script>alert(1)<b> %%DATA%% &amp;.mp4'
    page = write_page(write_clip(tmp_path, walker(1), clip=name)).read_text()
    assert name not in page
    assert re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", page) == []
    assert len(re.findall(r"<script", page)) == 3, "data, three.js and ours"
    stored = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0]
    assert json.loads(stored)["name"] == name
    assert len(page) < 1_500_000


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path, walker(1))
    table = (tmp_path / "people.csv").read_text()
    (tmp_path / "people.csv").write_text(table.rsplit("\n", 2)[0] + "\n")
    with pytest.raises(ArtifactError, match=rf"expected {FRAMES} rows of person 1.*got {FRAMES - 1}"):
        read_page_data(tmp_path)
    for broken in ("", "time_s,person\n1,2\n", table.replace(",both,", ","), "\x00"):
        (tmp_path / "people.csv").write_text(broken)
        with pytest.raises(ArtifactError, match=r"people\.csv"):
            read_page_data(tmp_path)
    (tmp_path / "people.csv").unlink()
    with pytest.raises(ArtifactError, match=r"people\.csv"):
        read_page_data(tmp_path)


@pytest.mark.parametrize("broken", ["", "[]", "{}", '{"clip": 3}', "[" * 100_000, '{"calibration": {}}'])
def test_a_report_that_is_none_is_refused(tmp_path: Path, broken: str) -> None:
    (tmp_path / "report.json").write_text(broken)
    with pytest.raises(ArtifactError, match=r"report\.json"):
        read_page_data(tmp_path)


def test_a_folder_without_a_report_is_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not a results folder"):
        write_page(tmp_path)


@pytest.mark.parametrize("page", pages_files.MODULES)
def test_the_modules_join_into_one_script(page: str) -> None:
    """No import or export is left, no name is there twice, and every module of pages/ is in some page."""
    joined = script(page)
    assert re.findall(r"^\s*(?:import|export)\b", joined, re.MULTILINE) == []
    names = re.findall(r"^(?:const|let|class|(?:async )?function) (\w+)", joined, re.MULTILINE)
    assert len(names) > 20
    assert sorted(set(names)) == sorted(names)
    used = {name for modules in pages_files.MODULES.values() for name in modules}
    assert used == {path.stem for path in Path(str(pages_files.__file__)).with_name("pages").glob("*.js")}


def test_three_js_is_the_file_that_its_readme_names() -> None:
    text = page_file("vendor/three.min.js")
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert f"`{digest}`" in page_file("vendor/README.md")
    assert "</script" not in text
    assert "MIT" in text[-400:]
