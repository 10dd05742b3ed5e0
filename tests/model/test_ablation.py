"""What the lifter can be trained without: the default changes nothing; all else trains, samples and is remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model.lifter_samples import walking_samples

from mocap_video.calib import geometry
from mocap_video.errors import ConfigError
from mocap_video.lifter.ablation import PRODUCT, Ablation, pose_problem
from mocap_video.lifter.conditions import build_conditions
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.objective import lifting_losses
from mocap_video.lifter.regression import regressed_joints, regression_target
from mocap_video.lifter.representation import decode, encode, noise_in_views, whitening
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.spread import SpreadHead, expected_error
from mocap_video.lifter.training import TrainConfig, build_runner
from mocap_video.lifter.views import build_scene
from mocap_video.lifter.weights import load_weights, save_weights
from mocap_video.skeletons import COCO17

TINY = NetworkConfig(width=32, layers=1, heads=2, feed_forward=32)
CHOICES = {
    "no pointmaps": Ablation(pointmaps="none"),
    "sampled pointmaps": Ablation(pointmaps="sampled"),
    "random rig": Ablation(rig="random"),
    "no anchor": Ablation(anchor=False),
    "coupled": Ablation(decoupled=False),
    "no confidence": Ablation(confidence=False),
    "direct": Ablation(direct=True),
}


def network(ablation: Ablation) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(replace(TINY, ablation=ablation))


def test_the_product_is_posed_as_if_there_were_no_ablations() -> None:
    scene = build_scene(walking_samples(2).seen, COCO17)
    problem = pose_problem(scene, PRODUCT)
    white = whitening(scene)
    assert problem.scene is scene
    for mine, plain in ((problem.white, white), (problem.conditions, build_conditions(scene, white))):
        for name, value in vars(plain).items():
            same = torch.equal(getattr(mine, name), value) if isinstance(value, torch.Tensor) else True
            assert same, name
    assert "ablation" not in TINY.record()  # headers and records of runs stay as they were
    assert NetworkConfig.of_record(TINY.record()) == TINY


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_changes_something_and_trains(name: str) -> None:
    data = walking_samples(3)
    losses = [
        lifting_losses(network(ablation), data, COCO17, multi_view=True, generator=torch.Generator().manual_seed(0))
        for ablation in (PRODUCT, CHOICES[name])
    ]
    totals = [torch.stack(list(loss.values())).sum() for loss in losses]
    if name not in ("no confidence",):  # exact 2D is fully confident
        assert totals[0] != totals[1]
    totals[1].backward()
    assert torch.isfinite(totals[1])


@pytest.mark.parametrize("name", CHOICES)
def test_weights_remember_their_ablation_and_lift_with_it(name: str, tmp_path: Path) -> None:
    model = network(CHOICES[name]).eval()
    save_weights(model, COCO17, tmp_path / "w.safetensors", {})
    loaded = load_weights(tmp_path / "w.safetensors").model
    assert loaded.config == model.config
    scene = build_scene(walking_samples(2).seen, COCO17)
    joints = sample(loaded, scene, COCO17, steps=2, copies=2, generator=torch.Generator().manual_seed(0))
    assert joints.shape == (4, 16, 17, 3)
    assert torch.isfinite(joints).all()


@pytest.mark.parametrize("name", [name for name in CHOICES if name != "direct"])
def test_every_representation_gives_back_what_it_holds(name: str) -> None:
    data = walking_samples(3)
    problem = pose_problem(build_scene(data.seen, COCO17), CHOICES[name], torch.Generator().manual_seed(0))
    xy, _ = decode(encode(data.joints, problem.scene, problem.white, COCO17), problem.white)
    R, t = problem.scene.rig.R[:, :, None, None], problem.scene.rig.t[:, :, None, None]
    seen, _ = geometry.project_normalized(data.joints[:, None], R, t)
    limit = 0.02 if name != "no anchor" else 1.0  # normalised; depths are bounded about a wrong anchor
    assert (xy - seen).abs().max() < limit
    noise = noise_in_views(torch.randn(3, 16, 18, 4), problem.scene, problem.white)
    assert 0.3 < noise[..., :-2, :].std() < 2.0


def test_the_regressor_s_target_means_the_joints() -> None:
    data = walking_samples(3)
    problem = pose_problem(build_scene(data.seen, COCO17), Ablation(direct=True))
    joints = regressed_joints(regression_target(data.joints, problem, COCO17), problem)
    assert (joints - data.joints).abs().max() < 1e-4  # m


def test_a_random_rig_says_where_its_cameras_are() -> None:
    scene = build_scene(walking_samples(2).seen, COCO17)
    told = pose_problem(scene, Ablation(rig="random"), torch.Generator().manual_seed(0))
    other = pose_problem(scene, Ablation(rig="random"), torch.Generator().manual_seed(1))
    assert torch.allclose(told.scene.rig.R[:, 0], scene.rig.R[:, 0], atol=1e-5)  # V0 stays
    assert not torch.allclose(told.scene.rig.R[:, 1], other.scene.rig.R[:, 1])
    azimuth = told.conditions.cameras[..., -2:]
    assert torch.allclose(azimuth.norm(dim=-1), torch.ones(2, 4), atol=1e-5)
    assert torch.allclose(azimuth[:, 0], torch.tensor([0.0, 1.0]).expand(2, 2), atol=1e-5)


def test_without_guidance_the_samples_differ_and_the_first_step_does_not() -> None:
    scene, model = build_scene(walking_samples(2).seen, COCO17), network(PRODUCT)

    def draw(steps: int, *, guided: bool) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return sample(model, scene, COCO17, steps=steps, guided=guided, generator=generator)

    assert torch.equal(draw(1, guided=True), draw(1, guided=False))
    assert not torch.equal(draw(3, guided=True), draw(3, guided=False))


def test_copies_are_the_samples_of_repeated_windows() -> None:
    data, model = walking_samples(3), network(PRODUCT)
    noise = torch.randn(6, 16, 18, 4, generator=torch.Generator().manual_seed(0))
    together = sample(model, build_scene(data.seen, COCO17), COCO17, steps=2, copies=2, noise=noise)
    repeated = sample(model, build_scene(data.seen.repeat(2), COCO17), COCO17, steps=2, noise=noise)
    assert (together - repeated).abs().max() < 1e-5  # m


def test_pointmaps_are_encoded_once_however_many_samples_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = walking_samples(3), network(PRODUCT)
    sizes: list[int] = []
    encode_pointmaps = model.encode_pointmaps

    def counted(conditions):  # noqa: ANN001, ANN202 - a spy
        sizes.append(len(conditions.pointmaps))
        return encode_pointmaps(conditions)

    monkeypatch.setattr(model, "encode_pointmaps", counted)
    sample(model, build_scene(data.seen, COCO17), COCO17, steps=4, copies=3)
    assert sizes == [3]


def test_a_regressor_has_no_stage_1_and_no_spread(tmp_path: Path) -> None:
    direct = replace(TINY, ablation=Ablation(direct=True))
    with pytest.raises(ConfigError, match="stage 1"):
        build_runner(TrainConfig(tmp_path / "bank", tmp_path / "run", 1, direct))
    model = network(Ablation(direct=True))
    scene = build_scene(walking_samples(2).seen, COCO17)
    with pytest.raises(ConfigError, match="no head"):
        expected_error(model, SpreadHead(model.config), scene, COCO17)
