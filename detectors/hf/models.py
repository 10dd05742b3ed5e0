"""Models of Hugging Face transformers from files on disk; nothing here reaches for the network."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from mocap_video.detectors.weights import verified_digests, weights_path
from mocap_video.errors import ArtifactError
from mocap_video.optional import import_torchvision, require

EXTRA = "hf"


def load_transformers() -> ModuleType:
    """Import transformers, which looks for torchvision by itself; ``MissingExtra`` where it is not installed."""
    import_torchvision()
    return require("transformers", EXTRA)


def load_model(kind: str, weights: str) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """Return the model of class ``kind`` filled with the list's entry ``weights``, and the SHA-256 of its files.

    Raises ``MissingExtra`` without transformers, ``MissingAsset`` when the files are not there, and ``ArtifactError``
    when they are not those published or do not hold such a model. Weights are safetensors, which cannot run code.
    """
    transformers = load_transformers()
    folder, digests = weights_path(weights), verified_digests(weights)
    try:
        model, info = getattr(transformers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ArtifactError(f"{folder}: expected the files of a {kind} ({error})") from error
    missing: Any = info["missing_keys"]
    if missing:
        raise ArtifactError(f"{folder}: expected the weights of a {kind}, {len(missing)} are missing: {min(missing)}.")
    return model, digests
