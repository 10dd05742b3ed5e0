"""Checkpoints of our own training, read without trusting them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from mocap_video.checkpoints import allow_runner_checkpoints
from mocap_video.errors import ArtifactError, MissingAsset


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of our training to the CPU. Raises ``MissingAsset`` or ``ArtifactError``."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no checkpoint there")
    allow_runner_checkpoints()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        _ = stored["meta"]["training"], stored["state_dict"]
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise ArtifactError(f"{path}: expected a checkpoint of the lifter's training ({error})") from error
    return stored
