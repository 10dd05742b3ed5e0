"""Network, diffusion process, sampler and weights, with a tiny network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from model.lifter_samples import walking_samples

from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter import diffusion
from mocap_video.lifter.conditions import build_conditions
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.objective import ObjectiveConfig, lifting_losses
from mocap_video.lifter.representation import encode, whitening
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.views import VIEWS, build_scene, mirrored, mirrored_joints
from mocap_video.lifter.weights import load_weights, save_weights
from mocap_video.skeletons import COCO17

TINY = NetworkConfig(width=32, layers=2, heads=2, feed_forward=48)


def tiny() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(TINY)


def test_the_schedule_falls_from_nearly_all_signal_to_almost_none() -> None:
    level = diffusion.signal_level(torch.arange(diffusion.STEPS))
    assert level[0] > 0.99
    assert level[-1] < 1e-3
    assert (level.diff() < 0).all()


@pytest.mark.parametrize("count", [1, 2, 4, 10, 100])
def test_sampling_steps_start_at_the_noisiest_and_fall(count: int) -> None:
    steps = diffusion.sampling_steps(count)
    assert len(steps) == count
    assert steps[0] == diffusion.STEPS - 1
    assert steps == sorted(set(steps), reverse=True)


def test_sampling_steps_refuse_what_the_schedule_does_not_have() -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        diffusion.sampling_steps(0)


def test_ddim_with_the_true_x0_walks_along_the_forward_process() -> None:
    x0, noise = torch.randn(3, 5), torch.randn(3, 5)
    now, later = torch.full((3,), 80), torch.full((3,), 30)
    walked = diffusion.ddim_step(diffusion.add_noise(x0, noise, now), x0, now, later)
    assert torch.allclose(walked, diffusion.add_noise(x0, noise, later), atol=1e-4)


class Oracle(Denoiser):
    """Knows the answer: shows what sampler and guidance make of a perfect network."""

    answer: torch.Tensor

    def forward(self, x: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return self.answer.expand_as(x)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_perfect_network_gives_the_true_motion(steps: int) -> None:
    data = walking_samples()
    scene = build_scene(data.seen, COCO17)
    model = Oracle(TINY)
    model.answer = encode(data.joints, scene, whitening(scene), COCO17)
    joints = sample(model, scene, COCO17, steps=steps)
    assert (joints - data.joints).norm(dim=-1).max() < 5e-3  # m


def test_sampling_is_the_same_for_the_same_noise_and_differs_otherwise() -> None:
    scene, model = build_scene(walking_samples(2).seen, COCO17), tiny()
    first, again, other = (
        sample(model, scene, COCO17, steps=2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_mirror_shows_what_a_camera_sees_of_mirrored_people() -> None:
    data = walking_samples()
    there = mirrored(data.seen, COCO17)
    assert torch.allclose(torch.linalg.det(there.R), torch.ones(len(there.R)), atol=1e-5)
    in_view = mirrored_joints(data.joints, COCO17) @ there.R[:, None].mT + there.t[:, None, None]
    seen = there.score > 0
    assert (in_view[..., :2] / in_view[..., 2:] - there.xy)[seen].abs().max() < 1e-4  # of the normalised image
    back = mirrored(there, COCO17)
    assert all(
        torch.equal(one, other) for one, other in zip(vars(back).values(), vars(data.seen).values(), strict=True)
    )


@pytest.mark.parametrize(("steps", "copies"), [(1, 2), (2, 4)])
def test_samples_drawn_in_the_mirror_favour_no_side(steps: int, copies: int) -> None:
    """What a mirrored scene is lifted to is the mirrored motion, for a network that knows left from right."""
    scene, model = build_scene(walking_samples(2).seen, COCO17), tiny()
    other = build_scene(mirrored(scene.seen, COCO17), COCO17)
    noise = torch.randn(2, copies // 2, 16, 18, 4).repeat(1, 2, 1, 1, 1).flatten(0, 1)
    one, turned = (
        sample(model, each, COCO17, steps=steps, copies=copies, mirror=True, noise=noise).unflatten(0, (2, copies))
        for each in (scene, other)
    )
    assert (one[:, 0] - one[:, copies // 2]).abs().max() > 1e-3  # m
    assert (one.mean(1) - mirrored_joints(turned, COCO17).mean(1)).abs().max() < 1e-3  # m


def test_one_sample_has_no_mirror() -> None:
    scene, model, noise = build_scene(walking_samples(2).seen, COCO17), tiny(), torch.randn(2, 16, 18, 4)
    alone, asked = (sample(model, scene, COCO17, steps=1, mirror=mirror, noise=noise) for mirror in (False, True))
    assert torch.equal(alone, asked)


def test_padding_does_not_change_what_is_lifted() -> None:
    scene, model = build_scene(walking_samples(2).seen, COCO17), tiny()
    padded = walking_samples(2)
    valid = padded.seen.valid.clone()
    valid[:, 12:] = False
    score = padded.seen.score * valid[..., None]
    spoiled = replace(padded.seen, valid=valid, score=score)
    other = replace(spoiled, xy=torch.where(valid[..., None, None], spoiled.xy, spoiled.xy + 5.0))
    noise = torch.randn(2, 16, 18, 4)
    a = sample(model, build_scene(spoiled, COCO17), COCO17, steps=2, noise=noise)
    b = sample(model, build_scene(other, COCO17), COCO17, steps=2, noise=noise)
    assert (a - b)[:, :12].abs().max() < 1e-4  # m
    assert scene.seen.valid.all()


def test_view_attention_starts_as_nothing_so_stage_one_keeps_its_meaning() -> None:
    scene, model = build_scene(walking_samples(2).seen, COCO17), tiny()
    told = build_conditions(scene, whitening(scene))
    memory = model.encode_pointmaps(told)
    x, step = torch.randn(2, VIEWS, 16, 19, 2), torch.tensor([10, 90])
    together = model(x, step, told, memory)
    for view in range(VIEWS):
        alone = model(x[:, view : view + 1], step, told, memory, torch.full((2, 1), view))
        assert torch.allclose(together[:, view : view + 1], alone, atol=1e-4)


def test_training_for_one_step_of_sampling_sees_the_last_step_alone() -> None:
    device, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    assert set(diffusion.training_steps(200, device, generator, 1.0).tolist()) == {diffusion.STEPS - 1}
    half = diffusion.training_steps(4000, device, generator, 0.5)
    assert 0.45 < float((half == diffusion.STEPS - 1).float().mean()) < 0.55


def test_errors_in_space_count_metres() -> None:
    """A perfect network has none; one that is off has some, and what is padded does not matter."""
    data = walking_samples()
    scene = build_scene(data.seen, COCO17)
    model = Oracle(TINY)
    model.answer = encode(data.joints, scene, whitening(scene), COCO17)
    objective = ObjectiveConfig(last_share=1.0, joints=2.0)

    def loss(sample: Sample) -> float:
        losses = lifting_losses(model, sample, COCO17, multi_view=True, objective=objective)
        return float(losses["loss_joints"])

    assert loss(data) < 1e-3
    moved = replace(data, joints=data.joints + torch.tensor([0.0, 0.0, 0.02]))  # m: a fifth of the unit, along one axis
    assert loss(moved) == pytest.approx(2 * 0.2**2 / 3, rel=0.2)


@pytest.mark.parametrize("multi_view", [False, True])
def test_a_few_steps_on_one_batch_lower_the_loss(multi_view: bool) -> None:
    data, model = walking_samples(8), tiny()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        generator = torch.Generator().manual_seed(3)
        parts = lifting_losses(model, data, COCO17, multi_view=multi_view, generator=generator)
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_every_parameter_learns_in_stage_two() -> None:
    model = tiny()
    for block in model.blocks:  # the zero start hides the gradient of what lies before it
        torch.nn.init.normal_(block.over_views.out.weight)  # type: ignore[union-attr]
    parts = lifting_losses(model, walking_samples(4), COCO17, multi_view=True)
    torch.stack(list(parts.values())).sum().backward()
    silent = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    model = tiny()
    save_weights(model, COCO17, tmp_path / "w.safetensors", {"budget": "none"})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.skeleton is COCO17
    assert loaded.model.config == TINY
    assert len(loaded.digest) == 64
    for name, value in model.state_dict().items():
        assert torch.allclose(loaded.model.state_dict()[name], value, atol=1e-3)


def test_weights_that_are_absent_or_not_what_they_say_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is not a tensor file")
    with pytest.raises(ArtifactError, match=r"text\.safetensors"):
        load_weights(tmp_path / "text.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ArtifactError, match="expected format"):
        load_weights(tmp_path / "other.safetensors")
