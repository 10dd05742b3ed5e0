"""All readers of motion: which there are, and which one a folder is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mocap_video.errors import ConfigError
from mocap_video.lifter.data import bvh, human36m, motions, smpl_files
from mocap_video.lifter.data.sources import AnyClip, Choice, MotionReader
from mocap_video.registry import MOTION_READERS

__all__ = ["bvh", "find_reader", "format_names", "human36m", "motions", "read_clips", "smpl_files"]


def format_names() -> tuple[str, ...]:
    """Return the names of the formats that can be read."""
    MOTION_READERS.import_from_location()
    return tuple(sorted(MOTION_READERS.module_dict))


def find_reader(folder: Path, name: str | None = None) -> MotionReader:
    """Return the reader called ``name``, or the only one that recognises ``folder``.

    Raises ``ConfigError`` when there is no such folder or format, when none fits, and when several do.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of motion")
    known = format_names()
    if name is not None:
        if name not in known:
            raise ConfigError(f"--format {name}: no such format; known: {', '.join(known)}")
        return MOTION_READERS.build({"type": name})
    fitting = [known_name for known_name in known if MOTION_READERS.build({"type": known_name}).recognises(folder)]
    if len(fitting) != 1:
        found = f"it looks like {' and '.join(fitting)}" if fitting else "it looks like none of them"
        raise ConfigError(f"{folder}: which format is this? {found}. Say --format, one of {', '.join(known)}")
    return MOTION_READERS.build({"type": fitting[0]})


def read_clips(folder: Path, choice: Choice, name: str | None = None) -> Iterator[AnyClip]:
    """Yield the chosen clips of ``folder``; ``ConfigError`` when its layout has no such split."""
    reader = find_reader(folder, name)
    if choice.split is not None and choice.split not in reader.splits:
        known = f"it has {', '.join(reader.splits)}" if reader.splits else "this format has no splits"
        raise ConfigError(f"{folder}: no split {choice.split!r}; {known}")
    return reader.read(folder, choice)
