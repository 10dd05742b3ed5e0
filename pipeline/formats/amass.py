"""Npz with AMASS's names: SMPL+H poses with +Z up at a constant frame rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from mocap_video.artifacts import atomic_write
from mocap_video.pipeline.formats.axes import R_zup_from_site
from mocap_video.pipeline.formats.base import Take
from mocap_video.pipeline.formats.rate import steady_frames
from mocap_video.pipeline.formats.rig import turns_of

_BODY_JOINTS, _ALL_JOINTS, _BETAS = 22, 52, 16


def write_amass(take: Take, path: Path) -> None:
    """Write ``poses (N,156)`` rad, ``trans (N,3)`` m, ``betas (16)``, ``gender``, ``mocap_framerate`` Hz, as AMASS
    does, and besides them ``pelvis (N,3)`` m, ``time_s (N)`` s and ``body_model``.

    The first 22 joints are SMPL's; the 30 of the fingers rest. Betas 11 to 16 are zero, and all of them belong to
    ``body_model``.
    """
    record = take.record
    R = R_zup_from_site(take.up)
    steady = steady_frames(record.time_s, record.mocap_framerate)
    turned = steady.turns(turns_of(record))
    turned[:, 0] = (Rotation.from_matrix(R) * Rotation.from_quat(turned[:, 0])).as_quat()
    body = Rotation.from_quat(turned[:, :_BODY_JOINTS].reshape(-1, 4)).as_rotvec()
    poses = np.zeros((len(turned), 3 * _ALL_JOINTS))
    poses[:, : 3 * _BODY_JOINTS] = body.reshape(len(turned), -1)
    pelvis = steady.values(record.smpl_joints_world[:, 0])
    # the root turns about the pelvis, which at rest is not the body's origin: that offset stays in the body's axes
    rest_pelvis = (record.smpl_joints_world[:, 0] - record.trans).mean(0)
    arrays: dict[str, Any] = {
        "poses": poses,
        "trans": pelvis @ R.T - rest_pelvis,
        "betas": np.pad(record.betas, (0, _BETAS - len(record.betas))),
        "gender": np.array(record.gender),
        "mocap_framerate": np.array(record.mocap_framerate),
        "pelvis": pelvis @ R.T,
        "time_s": steady.time_s,
        "body_model": np.array(record.body_model),
    }
    with atomic_write(path) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
