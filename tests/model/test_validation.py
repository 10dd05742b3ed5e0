"""The shipped weights on held-out motion, where the open motion set is at hand; and what validation counts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from model.lifter_samples import NEAR_CAMERAS, walking_samples
from model.test_data import clip_of_walking
from realdata import motion_folder

from mocap_video.lifter.body import load_body
from mocap_video.lifter.data.cameras import CameraConfig
from mocap_video.lifter.data.synthetic import Sample
from mocap_video.lifter.sampler import sample
from mocap_video.lifter.validation import EXACT, ValidationConfig, evaluate, flat_baseline, held_out
from mocap_video.lifter.views import Scene
from mocap_video.lifter.weights import load_weights, shipped_weights
from mocap_video.skeletons import COCO17


def test_a_lifter_that_knows_the_truth_has_no_error_and_the_flat_baseline_has_some() -> None:
    data = walking_samples(4)
    assert evaluate(data, lambda _scene: data.joints).abs_mpjpe_mm == 0
    flat = evaluate(data, flat_baseline)
    assert 20 < flat.abs_mpjpe_mm < 400
    assert flat.frames == data.seen.valid.sum()


@pytest.mark.parametrize("truth", ["body", "source"])
def test_held_out_motion_is_cut_into_windows_of_the_whole_split(tmp_path: Path, truth: str) -> None:
    clip = clip_of_walking(100)
    root = clip.joints[:, :1]
    arrays = {
        "walk|j": (clip.joints - root).astype(np.float16),
        "walk|jroot": root[:, 0].astype(np.float32),
        "walk|exact": clip.exact,
    }
    np.savez(tmp_path / "shard.npz", allow_pickle=False, **arrays)
    row = {"clip": "walk", "source": "made", "tier": "A", "split": "val", "shard": "shard.npz", "qc_flags": ""}
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    config = ValidationConfig(frames=16, stride=2, repeats=2, cameras=NEAR_CAMERAS)
    data = held_out(tmp_path, "val", truth, EXACT, load_body(), config)
    assert data.joints.shape == (6, 16, 17, 3)  # three windows of 32 frames, two cameras each
    face_known = torch.isfinite(data.joints[:, :, :5]).any()
    assert bool(face_known) == (truth == "body")
    assert (data.seen.score[:, :, :5] > 0).any() == face_known


def test_the_shipped_weights_beat_the_baseline_on_held_out_motion() -> None:
    """Exact 2D of our body, site cameras, a fixed third of the val split."""
    folder = motion_folder()
    sites = CameraConfig(height_m=(1.5, 6.0), distance_m=(3.0, 12.0))
    whole = held_out(folder, "val", "body", EXACT, load_body(), ValidationConfig(repeats=1, cameras=sites))
    third = slice(0, None, 3)
    data = Sample(whole.seen.select(third), whole.joints[third])
    model = load_weights(shipped_weights()).model

    def lift(scene: Scene) -> torch.Tensor:
        return sample(model, scene, COCO17, steps=1, generator=torch.Generator().manual_seed(0))

    lifted, flat = evaluate(data, lift), evaluate(data, flat_baseline)
    assert lifted.abs_mpjpe_mm < 80
    assert lifted.pa_mpjpe_mm < 40
    assert lifted.abs_mpjpe_mm < 0.5 * flat.abs_mpjpe_mm
