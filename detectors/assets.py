"""The network files that ship with this package, checked against their digests before use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mocap_video.errors import ArtifactError, MissingAsset

MODELS_FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class ModelFile:
    """A network file in ``MODELS_FOLDER``: its ``name``, its length in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


POSE_DETECTION = ModelFile(
    name="pose_detection.tflite",
    size=2_962_288,
    sha256="a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
)
POSE_LANDMARK_HEAVY = ModelFile(
    name="pose_landmark_heavy.tflite",
    size=27_709_200,
    sha256="59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
)


def read_model(model: ModelFile, folder: Path = MODELS_FOLDER) -> bytes:
    """Return the content of ``model`` in ``folder``.

    Raises ``MissingAsset`` when the file is not there and ``ArtifactError`` when its content is not what was shipped.
    """
    path = folder / model.name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingAsset(
            f"{path}: the network file is not there. Install mocap-video again, or in a checkout run "
            "python tools/fetch_blazepose.py"
        ) from error
    verify(model, content, path)
    return content


def verify(model: ModelFile, content: bytes, path: Path) -> None:
    """Raise ``ArtifactError``, naming ``path``, unless ``content`` is that of ``model``."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise ArtifactError(
            f"{path}: expected {model.size} bytes with SHA-256 {model.sha256}, got {len(content)} bytes with {digest}. "
            "The file is damaged or another version: install mocap-video again, or in a checkout run "
            "python tools/fetch_blazepose.py"
        )
