"""Weights on disk: safetensors whose header says which network and keypoint set they are for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.spread import SpreadHead
from mocap_video.skeletons import SKELETONS, Skeleton

FORMAT = "mocap-video lifter 1"
_SPREAD = "spread."


@dataclass(frozen=True)
class LoadedWeights:
    """A network ready to run, its spread head (None: weights that were not calibrated), the keypoint set it lifts, the
    SHA-256 of its file and the header's notes.
    """

    model: Denoiser
    spread: SpreadHead | None
    skeleton: Skeleton
    digest: str
    path: Path
    notes: dict[str, str]


def shipped_weights(skeleton: str = "coco17") -> Path:
    """Return the path of the shipped weights for ``skeleton``; whether they exist is found on loading."""
    return Path(str(resources.files("mocap_video.lifter") / "assets" / f"lifter_{skeleton}.safetensors"))


def save_weights(
    model: Denoiser, skeleton: Skeleton, path: Path, notes: dict[str, str], spread: SpreadHead | None = None
) -> None:
    """Write ``model`` in 16 bits with its configuration, and its spread head if there is one.

    ``notes`` (training data, budget) go into the header.
    """
    state = model.state_dict()
    if spread is not None:
        state |= {_SPREAD + name: value for name, value in spread.state_dict().items()}
    state = {name: value.detach().to(torch.float16).contiguous() for name, value in state.items()}
    header = {
        "format": FORMAT,
        "network": json.dumps(model.config.record()),
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
        model = Denoiser(NetworkConfig.of_record(json.loads(header["network"])))
        of_spread = {name.removeprefix(_SPREAD): state.pop(name) for name in list(state) if name.startswith(_SPREAD)}
        model.load_state_dict(state)
        spread = SpreadHead(model.config).eval() if of_spread else None
        if spread is not None:
            spread.load_state_dict(of_spread)
            spread.to(device)
        skeleton = SKELETONS[header["skeleton"]]
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise ArtifactError(
            f"{path}: these lifter weights cannot be used ({error}); fetch or train them again"
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    notes = {name: text for name, text in header.items() if name not in ("format", "network", "skeleton")}
    return LoadedWeights(model.eval().to(device), spread, skeleton, digest, path, notes)
