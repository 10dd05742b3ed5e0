"""Joints of SMPL's and SMPL-X's parameters, for scoring what others wrote: forward kinematics alone, in numpy.

The user's own file of the body that the method used tells where its joints are. SMPL's first 22 joints and SMPL-X's are
the same; hands and face are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.errors import ArtifactError, ConfigError
from mocap_video.lifter.data.sources import COMMON_JOINTS
from mocap_video.lifter.smpl import read_smpl_arrays
from mocap_video.skeletons import SMPL24, SMPL_PARENTS

NAMES = SMPL24.names[:COMMON_JOINTS]
_NEEDED = ("v_template", "shapedirs", "J_regressor", "kintree_table")


@dataclass(frozen=True)
class JointBody:
    """Where a body's joints are: ``rest (22,3)`` m, ``shape (22,3,B)`` m per unit beta; ``regressor (22,N)``."""

    rest: np.ndarray
    shape: np.ndarray
    regressor: np.ndarray

    def pose(self, betas: np.ndarray, turns: np.ndarray, transl: np.ndarray) -> np.ndarray:
        """Return joints ``(T,22,3)`` m of ``betas (T,b)``, ``turns (T,22,3)`` rad and ``transl (T,3)`` m."""
        size = min(betas.shape[1], self.shape.shape[2])
        rest = self.rest + np.einsum("jcb,tb->tjc", self.shape[..., :size], betas[:, :size])
        R = [Rotation.from_rotvec(turns[:, 0])]
        place = [rest[:, 0] + transl]
        for joint in range(1, COMMON_JOINTS):
            parent = SMPL_PARENTS[joint]
            place.append(place[parent] + R[parent].apply(rest[:, joint] - rest[:, parent]))
            R.append(R[parent] * Rotation.from_rotvec(turns[:, joint]))
        return np.stack(place, 1)


def load_joint_body(path: Path | None, *, trust: bool, wanted: str) -> JointBody:
    """Read the joints of a user's SMPL or SMPL-X file; ``wanted`` names the body that a method used.

    Raises ``ConfigError`` where no file is given or a pickle is not trusted, ``ArtifactError`` for another file.
    """
    if path is None:
        raise ConfigError(
            f"this result holds parameters of {wanted}, whose files are not ours to ship; give yours: --smpl-model FILE"
        )
    arrays = read_smpl_arrays(path, _NEEDED, trust=trust)
    try:
        regressor = np.asarray(arrays["J_regressor"], float)[:COMMON_JOINTS]
        template, shapes = np.asarray(arrays["v_template"], float), np.asarray(arrays["shapedirs"], float)
        parents = np.asarray(arrays["kintree_table"])[0].astype(np.int64)[1:COMMON_JOINTS]
        if tuple(parents) != SMPL_PARENTS[1:COMMON_JOINTS]:
            raise ValueError("its kintree_table is not SMPL's")
        return JointBody(regressor @ template, np.einsum("jn,ncb->jcb", regressor, shapes), regressor)
    except (ValueError, TypeError, IndexError) as error:
        raise ArtifactError(f"{path}: expected SMPL's or SMPL-X's arrays ({error})") from error
