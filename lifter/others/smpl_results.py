"""Results of methods that answer with SMPL's parameters or mesh: GVHMR, WHAM, SA-HMR."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from mocap_video.errors import ArtifactError
from mocap_video.lifter.data.sources import COMMON_JOINTS
from mocap_video.lifter.others.base import Placement, ReadOptions, Sequence3D, ask_trust, choose_track
from mocap_video.lifter.others.smpl_joints import NAMES, JointBody, load_joint_body
from mocap_video.lifter.unpickling import read_arrays


class Gvhmr:
    """GVHMR's ``hmr4d_results.pt``: SMPL-X parameters in the camera (``smpl_params_incam``) and in a world of its own
    whose up is known (``smpl_params_global``), one row a frame.
    """

    def recognises(self, path: Path) -> bool:
        """Say whether it is a checkpoint of torch's."""
        return path.suffix == ".pt"

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return the person, in the camera where ``options.camera``."""
        ask_trust(path, options)
        body = load_joint_body(options.body, trust=options.trust, wanted="SMPL-X (neutral)")
        name = "smpl_params_incam" if options.camera else "smpl_params_global"
        placement: Placement = "camera" if options.camera else "own"
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
            rows = {key: np.asarray(value, float) for key, value in stored[name].items()}
            turns = np.concatenate([rows["global_orient"], rows["body_pose"]], 1)
            return _sequence(path, body, turns, rows["betas"], rows["transl"], None, placement)
        except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, AttributeError, EOFError) as error:
            raise ArtifactError(f"{path}: expected GVHMR's hmr4d_results.pt with {name} ({error})") from error


class Wham:
    """WHAM's ``wham_output.pkl``, written by joblib: SMPL parameters of each track, by its number, in the camera
    (``pose``, ``trans``) and in a world of its own (``pose_world``, ``trans_world``).
    """

    def recognises(self, path: Path) -> bool:
        """Say whether its name is WHAM's."""
        return path.suffix in (".pkl", ".pth") and "wham" in path.stem.lower()

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return one track, in the camera where ``options.camera``."""
        ask_trust(path, options)
        body = load_joint_body(options.body, trust=options.trust, wanted="SMPL (neutral)")
        stored = read_arrays(path)
        try:
            tracks = {str(number): track for number, track in stored.items()}
            lengths = {number: len(track["frame_ids"]) for number, track in tracks.items()}
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: expected WHAM's tracks by number ({error})") from error
        track = tracks[choose_track(path, lengths, options.person)]
        placement: Placement = "camera" if options.camera else "own"
        names = ("pose", "trans") if options.camera else ("pose_world", "trans_world")
        try:
            turns, transl = (np.asarray(track[name], float) for name in names)
            frames = np.asarray(track["frame_ids"]).astype(np.int64)
            return _sequence(path, body, turns, np.asarray(track["betas"], float), transl, frames, placement)
        except KeyError as error:
            raise ArtifactError(f"{path}: expected WHAM's pose, trans, betas and frame_ids ({error})") from error


class SaHmr:
    """SA-HMR's folder of one pickle a picture: SMPL's mesh in the camera (``pred_c_verts``), metres.

    Files are named by the picture; the first number in a name is its frame.
    """

    def recognises(self, path: Path) -> bool:
        """Say whether it is a folder of pickles that are named by pictures' numbers."""
        files = sorted(path.glob("*.pkl")) if path.is_dir() else []
        return bool(files) and all(_numbers(file) for file in files)

    def read(self, path: Path, options: ReadOptions) -> Sequence3D:
        """Return the person, whose joints the body's regressor finds on the mesh."""
        ask_trust(path, options)
        body = load_joint_body(options.body, trust=options.trust, wanted="SMPL")
        files = {_frame_of(file): file for file in sorted(path.glob("*.pkl"))}
        frames = sorted(files)
        joints = [body.regressor @ _vertices(files[frame], body) for frame in frames]
        return Sequence3D(path.name, NAMES, np.stack(joints), np.array(frames), placement="camera")


def _numbers(path: Path) -> list[str]:
    return [piece for piece in path.stem.split("_") if piece.isdigit()]


def _frame_of(path: Path) -> int:
    numbers = _numbers(path)
    if numbers:
        return int(numbers[0])  # RICH's pictures are FRAME_CAMERA
    raise ArtifactError(f"{path}: expected a file named by its picture's number")


def _vertices(path: Path, body: JointBody) -> np.ndarray:
    vertices = np.asarray(read_arrays(path).get("pred_c_verts"), float)
    if vertices.shape != (body.regressor.shape[1], 3):
        raise ArtifactError(
            f"{path}: expected SA-HMR's pred_c_verts ({body.regressor.shape[1]}, 3) of the body given by --smpl-model, "
            f"got {vertices.shape}"
        )
    return vertices


def _sequence(
    path: Path,
    body: JointBody,
    turns: np.ndarray,
    betas: np.ndarray,
    transl: np.ndarray,
    frames: np.ndarray | None,
    placement: Placement,
) -> Sequence3D:
    """Return the joints of rows of parameters; ``frames`` None counts them from 0."""
    count = len(transl)
    if turns.shape[0] != count or turns.shape[1] < 3 * COMMON_JOINTS or betas.shape[0] not in (1, count):
        raise ArtifactError(
            f"{path}: expected {count} rows of at least {3 * COMMON_JOINTS} pose values, got poses {turns.shape} and "
            f"betas {betas.shape}"
        )
    rotvec = turns[:, : 3 * COMMON_JOINTS].reshape(count, COMMON_JOINTS, 3)
    joints = body.pose(np.broadcast_to(betas, (count, betas.shape[1])), rotvec, transl)
    own = np.arange(count) if frames is None else frames
    return Sequence3D(path.stem, NAMES, joints, own, placement=placement)
