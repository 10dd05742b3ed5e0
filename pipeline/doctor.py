"""What works on this machine: every part is tried, not looked up, and a part that fails says how to mend it.

All imports of what may be broken stand inside the check that tries it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video import __version__
from mocap_video.detectors.weights import weights_named
from mocap_video.errors import MocapVideoError
from mocap_video.optional import install_command, require

_REINSTALL = "install mocap-video again: pip install --force-reinstall --no-deps mocap-video"
_LEAST_FREE_GB = 1.0


@dataclass(frozen=True)
class Check:
    """One finding. ``fix`` is empty where ``ok``; a part that is not ``needed`` may be absent without harm."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True


def diagnose(output: Path = Path()) -> list[Check]:
    """Try every part and return the findings in a fixed order; ``output`` is the folder that results would go to."""
    return [
        _tried("python", _python, "install Python 3.10, 3.11 or 3.12"),
        _tried("torch", _torch, "pip install 'torch>=2.6,<=2.13.0'"),
        _tried(
            "OpenGL off screen",
            _opengl,
            "on Debian or Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri libgles2",
        ),
        _tried("H.264 video", _video, "pip install --force-reinstall 'av>=14,<19'"),
        _tried("OpenCV", _opencv, "on Debian or Ubuntu: apt-get install libgl1; keep only one of its pip packages"),
        _tried("person networks", _networks, _REINSTALL),
        _tried("body files", _bodies, _REINSTALL),
        _tried("lifter weights", _lifter, _REINSTALL),
        _tried("output folder", lambda: _writable(output), "choose another folder with -o, or free some space"),
        _tried(
            "OpenMMLab (optional)",
            _openmmlab,
            f"only for --config vitpose: {install_command('openmmlab')}",
            needed=False,
        ),
        _tried(
            "transformers (optional)",
            _transformers,
            f"only for --config vitpose-hf: {install_command('hf')}",
            needed=False,
        ),
        _tried("SMPL files (optional)", _smpl, "only for --smpl-model: " + install_command("smpl"), needed=False),
        _tried("C3D files (optional)", _c3d, f"only for --export c3d: {install_command('export')}", needed=False),
        _tried("USD files (optional)", _usd, f"only for --export usd: {install_command('usd')}", needed=False),
    ]


def _tried(name: str, attempt: Callable[[], str], fix: str, *, needed: bool = True) -> Check:
    try:
        return Check(name, True, attempt(), needed=needed)
    except Exception as error:  # noqa: BLE001  drivers and libraries raise classes of their own: all are findings
        return Check(name, False, " ".join(str(error).split()) or type(error).__name__, fix, needed)


def _python() -> str:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}; mocap-video {__version__}"
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        raise MocapVideoError(detail)
    return detail


def _torch() -> str:
    import torch

    product = torch.ones(2, 2) @ torch.ones(2, 2)
    if not torch.equal(product, torch.full((2, 2), 2.0)):
        raise MocapVideoError(f"{torch.__version__} multiplies wrongly")
    if torch.cuda.is_available():
        return f"{torch.__version__}, CUDA {torch.version.cuda}: {torch.cuda.get_device_name(0)}"
    why = "its CUDA build finds no usable device" if torch.version.cuda else "a build for the CPU alone"
    return f"{torch.__version__}, CPU with {torch.get_num_threads()} threads ({why})"


def _opengl() -> str:
    from mocap_video.render.gl import Canvas, ScreenMesh, backend_name
    from mocap_video.render.mesh import Topology

    corners = np.array([[-20.0, -20.0], [-20.0, 40.0], [40.0, -20.0]])
    red = np.tile([1.0, 0.0, 0.0, 1.0], (3, 1))
    with Canvas() as canvas:
        drawn = [
            canvas.draw([ScreenMesh(corners, np.ones(3), red, Topology(np.array([face]), 3))], (0, 0), (8, 8))[0]
            for face in ([0, 1, 2], [0, 2, 1])  # one of the two windings faces the camera
        ]
    if not any((rgba[4, 4] == [255, 0, 0, 255]).all() for rgba in drawn):
        raise MocapVideoError(f"{backend_name()} draws nothing")
    return backend_name()


def _video() -> str:
    import av

    from mocap_video.pipeline.video import VideoWriter, probe

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "try.mp4"
        with VideoWriter(path, (64, 48)) as writer:
            for index in range(5):
                writer.write(np.full((48, 64, 3), 40 * index, np.uint8), index / 25)
        found = probe(path)
    if found.size != (64, 48) or len(found) != 5:
        raise MocapVideoError(f"5 frames of 64 x 48 px were written, {len(found)} of {found.size} read back")
    return f"PyAV {av.__version__} with libx264"


def _opencv() -> str:
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        raise MocapVideoError(f"{cv2.__version__} has no HOG person detector; expected 4.10 or later, before 5")
    return cv2.__version__


def _networks() -> str:
    from mocap_video.detectors.assets import POSE_DETECTION, POSE_LANDMARK_HEAVY, read_model
    from mocap_video.detectors.embedded import LiteRTNetwork

    models = (POSE_DETECTION, POSE_LANDMARK_HEAVY)
    for model in models:
        network = LiteRTNetwork(read_model(model), threads=1)
        network.run(np.zeros(network.input_shape, np.float32))
    return ", ".join(f"{model.name} {model.size / 1e6:.1f} MB" for model in models)


def _bodies() -> str:
    from mocap_video.lifter.body import GENDERS, load_body

    bodies = [load_body(gender) for gender in GENDERS]
    return ", ".join(f"{body.gender} {body.digest[:8]}" for body in bodies)


def _lifter() -> str:
    from mocap_video.lifter.weights import load_weights, shipped_weights

    loaded = load_weights(shipped_weights())
    millions = sum(parameter.numel() for parameter in loaded.model.parameters()) / 1e6
    return f"{loaded.path.name} {loaded.digest[:8]}, {millions:.1f} M parameters, {loaded.skeleton.name}"


def _writable(output: Path) -> str:
    folder = output.absolute()
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as attempt:
        Path(attempt, "try").write_bytes(os.urandom(1 << 16))
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < _LEAST_FREE_GB:
        raise MocapVideoError(f"{folder}: only {free_gb:.1f} GB free")
    return f"{folder} can be written, {free_gb:.0f} GB free"


def _openmmlab() -> str:
    import torch

    from mocap_video.detectors.openmmlab.rtmdet import RTMDet
    from mocap_video.detectors.openmmlab.vitpose import ViTPose

    with torch.inference_mode():
        RTMDet("rtmdet_tiny_8xb32-300e_coco", threshold=0.9).eval()(torch.zeros(1, 3, 64, 64))
        ViTPose("td-hm_ViTPose-small_8xb64-210e_coco-256x192").eval()(torch.zeros(1, 3, 256, 192))
    return f"{_versions('mmdet', 'mmpose', 'mmcv', 'mmcv-lite')}; {_fetched('rtmdet-m', 'vitpose-b')}"


def _transformers() -> str:
    import torch

    from mocap_video.detectors.hf.detr import Detr
    from mocap_video.detectors.hf.tiny import tiny_rtdetr, tiny_vitpose
    from mocap_video.detectors.hf.vitpose import ViTPoseHF

    with torch.inference_mode():
        Detr(tiny_rtdetr()).eval()(torch.zeros(1, 3, 64, 64))
        ViTPoseHF(tiny_vitpose()).eval()(torch.zeros(1, 3, 256, 192))
    return f"{_versions('transformers')}; {_fetched('rtdetr-r50-hf', 'vitpose-b-hf')}"


def _versions(*packages: str) -> str:
    """Return the versions of those of ``packages`` that are installed."""
    installed = {each.metadata["Name"].lower(): each.version for each in importlib.metadata.distributions()}
    return ", ".join(f"{name} {installed[name]}" for name in packages if name in installed)


def _fetched(*weights: str) -> str:
    """Return whether the ``weights`` are there, and how to get those that are not."""
    missing = [name for name in weights if weights_named(name).missing()]
    return f"weights: mocap-video weights fetch {' '.join(missing)}" if missing else f"weights {', '.join(weights)}"


def _smpl() -> str:
    if importlib.util.find_spec("smplx") is None:
        raise MocapVideoError("smplx is not installed")
    return "smplx is installed"


def _c3d() -> str:
    return _imported("ezc3d", "export")


def _usd() -> str:
    return _imported("pxr", "usd")


def _imported(module: str, extra: str) -> str:
    require(module, extra)
    return f"{module} is installed"
