"""Models of mmdet and mmpose by the names of their configs, with or without the published weights."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mocap_video.checkpoints import allow_runner_checkpoints
from mocap_video.detectors.openmmlab.shims import EXTRA, load_openmmlab
from mocap_video.detectors.weights import verified_digests, weights_named, weights_path
from mocap_video.errors import ArtifactError
from mocap_video.optional import require

logger = logging.getLogger(__name__)

WHOLE_DIGEST = 64
"""Hexadecimal digits of a SHA-256."""


def read_config(package: str, folder: str, model: str) -> Config:
    """Return the config ``model`` that ships with mmdet or mmpose under ``folder``."""
    load_openmmlab()
    root = Path(str(require(package, EXTRA).__file__)).parent
    return Config.fromfile(root / ".mim" / "configs" / folder / f"{model}.py", import_custom_modules=False)


def build(package: str, config: Config) -> torch.nn.Module:
    """Return the model of ``config`` with random weights."""
    models = require(f"{package}.registry", EXTRA).MODELS
    with DefaultScope.overwrite_default_scope(package):
        return models.build(config.model)


def load_weights(model: torch.nn.Module, name: str) -> tuple[str, ...]:
    """Fill ``model`` with the weights ``name`` of the list and return the SHA-256 of their file.

    Raises ``MissingAsset`` when they are not there, ``ArtifactError`` when the file is not the one published, cannot be
    read without running code, or belongs to another model.
    """
    path, digests = weights_path(name), verified_digests(name)
    (file,) = weights_named(name).files
    state = read_state(path, trusted=len(file.sha256) == WHOLE_DIGEST)
    try:
        odd = model.load_state_dict(state, strict=False)
    except (RuntimeError, AssertionError) as error:  # mmpretrain asserts what it expects of position embeddings
        raise ArtifactError(f"{path}: expected the weights of {weights_named(name).model}: {error}") from error
    if odd.missing_keys:
        raise ArtifactError(
            f"{path}: expected the weights of {weights_named(name).model}, {len(odd.missing_keys)} of them are "
            f"missing, the first is {odd.missing_keys[0]}."
        )
    if odd.unexpected_keys:
        logger.debug("%s: left aside: %s", path, ", ".join(odd.unexpected_keys))
    return digests


def read_state(path: Path, *, trusted: bool) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint of OpenMMLab.

    A checkpoint is a pickle. What is more than tensors and training logs is refused, unless the file is ``trusted``:
    its whole SHA-256 is known to be the publisher's.
    """
    allow_runner_checkpoints()
    try:
        stored = _read(path, weights_only=True)
    except pickle.UnpicklingError as error:
        if not trusted:
            raise ArtifactError(
                f"{path}: this checkpoint holds Python objects that could run code ({_first_line(error)}), and its "
                "publisher gives no whole SHA-256 to trust it by. Convert it to a plain state dict."
            ) from error
        stored = _read(path, weights_only=False)
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ArtifactError(f"{path}: expected a checkpoint with a state_dict of tensors.")
    return state


def _read(path: Path, *, weights_only: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=weights_only)
    except (RuntimeError, OSError, EOFError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: expected a PyTorch checkpoint ({error}); fetch it again") from error


def _first_line(error: Exception) -> str:
    """Return what torch says is in the way, without its page of advice."""
    said = [line.strip() for line in str(error).splitlines() if "Unsupported" in line]
    return said[0] if said else type(error).__name__
