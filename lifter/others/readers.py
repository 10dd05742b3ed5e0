"""All layouts of results and truths: which there are, and which one a file is in."""

from __future__ import annotations

from pathlib import Path

from mocap_video.errors import ConfigError, MissingAsset
from mocap_video.lifter.others.base import ReadOptions, ResultReader, Sequence3D
from mocap_video.lifter.others.joint_arrays import (
    AistKeypoints,
    ElePose,
    Mas,
    MotionBert,
    MvLift,
    OurPeople,
    PlainJoints,
    Triangulated,
)
from mocap_video.lifter.others.rich import RichBodies
from mocap_video.lifter.others.smpl_results import Gvhmr, SaHmr, Wham

READERS: dict[str, ResultReader] = {
    "gvhmr": Gvhmr(),
    "wham": Wham(),
    "sa-hmr": SaHmr(),
    "motionbert": MotionBert(),
    "elepose": ElePose(),
    "mvlift": MvLift(),
    "mas": Mas(),
    "aist": AistKeypoints(),
    "rich": RichBodies(),
    "mocap-video": OurPeople(),
    "pose2sim": Triangulated(),
    "npz": PlainJoints(),
}
"""Readers by the name that ``--format`` takes."""


def read_sequence(path: Path, options: ReadOptions, form: str | None = None) -> Sequence3D:
    """Read ``path`` in the layout called ``form``, or in the only one that recognises it.

    Raises ``MissingAsset`` where it is absent, ``ConfigError`` for an unknown layout, ``ArtifactError`` for a file that
    is not in it.
    """
    if not path.exists():
        raise MissingAsset(f"{path}: no such file or folder")
    if form is not None:
        return READERS[form].read(path, options)
    fitting = [name for name, reader in READERS.items() if reader.recognises(path)]
    if len(fitting) != 1:
        found = f"it looks like {' and '.join(fitting)}" if fitting else "it looks like none of them"
        raise ConfigError(f"{path}: which layout is this? {found}. Say --format, one of {', '.join(READERS)}")
    return READERS[fitting[0]].read(path, options)
