"""Weights on disk: safetensors whose header says which network and keypoint set they are for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.skeletons import SKELETONS, Skeleton

FORMAT = "mocap-video lifter 1"


@dataclass(frozen=True)
class LoadedWeights:
    """A network ready to run, the keypoint set it lifts, and the SHA-256 of its file."""

    model: Denoiser
    skeleton: Skeleton
    digest: str
    path: Path


def shipped_weights(skeleton: str = "coco17") -> Path:
    """Return the path of the shipped weights for ``skeleton``; whether they exist is found on loading."""
    return Path(str(resources.files("mocap_video.lifter") / "assets" / f"lifter_{skeleton}.safetensors"))


def save_weights(model: Denoiser, skeleton: Skeleton, path: Path, notes: dict[str, str]) -> None:
    """Write ``model`` in 16 bits with its configuration; ``notes`` (training data, budget) go into the header."""
    state = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    header = {
        "format": FORMAT,
        "network": json.dumps(asdict(model.config)),
        "skeleton": skeleton.name,
        **notes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata=header)


def load_weights(path: Path, device: str | torch.device = "cpu") -> LoadedWeights:
    """Load weights. Raises ``MissingAsset`` when absent and ``ArtifactError`` when the file is not what it says."""
    if not path.is_file():
        raise MissingAsset(f"{path}: no lifter weights there; expected a file written by: mocap-video train export")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118
        if header.get("format") != FORMAT:
            raise ArtifactError(f"{path}: expected format {FORMAT!r}, got {header.get('format')!r}: not lifter weights")
        model = Denoiser(NetworkConfig(**json.loads(header["network"])))
        model.load_state_dict(state)
        skeleton = SKELETONS[header["skeleton"]]
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise ArtifactError(
            f"{path}: these lifter weights cannot be used ({error}); fetch or train them again"
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedWeights(model.eval().to(device), skeleton, digest, path)
