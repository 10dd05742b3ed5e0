"""RICH's bodies as a truth: one file a frame with SMPL-X's parameters, in the scene's axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mocap_video.errors import ArtifactError
from mocap_video.lifter.data.smpl_files import read_npz
from mocap_video.lifter.others.base import ReadOptions, Sequence3D, ask_trust, choose_track
from mocap_video.lifter.others.smpl_joints import NAMES, load_joint_body
from mocap_video.lifter.unpickling import read_arrays

_FPS = 30.0
_KEYS = ("global_orient", "body_pose", "transl", "betas")


class RichBodies:
    """A sequence of RICH: ``SEQUENCE/FRAME/SUBJECT.pkl`` (or npz), SMPL-X, metres, 30 frames a second."""

    def recognises(self, path: Path) -> bool:
        """Say whether it is a folder of numbered folders."""
        return path.is_dir() and any(path.glob("[0-9]*/*.[pn][kp][lz]"))

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return one subject: the one that ``options.person`` names, else the one seen longest."""
        files: dict[str, dict[int, Path]] = {}
        for file in sorted(path.glob("[0-9]*/*.[pn][kp][lz]")):
            files.setdefault(file.stem, {})[int(file.parent.name)] = file
        who = choose_track(path, {name: len(found) for name, found in files.items()}, options.person)
        body = load_joint_body(options.body, trust=options.trust, wanted="SMPL-X (of the subject's gender)")
        frames = np.array(sorted(files[who]))
        rows = [_row(files[who][frame], options) for frame in frames.tolist()]
        turns, transl, betas = (np.stack(part) for part in zip(*rows, strict=True))
        joints = body.pose(betas, turns.reshape(len(rows), -1, 3), transl)
        return Sequence3D(path.name, NAMES, joints, frames, time_s=frames / _FPS)


def _row(path: Path, options: ReadOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if path.suffix == ".pkl":
        ask_trust(path, options)
    stored = read_npz(path) if path.suffix == ".npz" else read_arrays(path)
    try:
        orient, pose, transl, betas = (np.asarray(stored[key], float).ravel() for key in _KEYS)
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: expected {', '.join(_KEYS)} ({error})") from error
    return np.concatenate([orient, pose])[:66], transl, betas
