"""Which clips a batch consists of: globs looked up, every clip given a name that stays, changes noticed."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mocap_video.artifacts import digest_file, digest_of
from mocap_video.errors import MocapVideoError, VideoError
from mocap_video.pipeline import remote_files
from mocap_video.pipeline.manifest import FINISHED, Entry, Inputs
from mocap_video.pipeline.remote_files import is_url
from mocap_video.pipeline.site import CameraEntry, Site

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recording:
    """One clip to run. ``camera`` and ``name`` are its folders; ``source`` and ``calib`` paths or URLs; ``arguments``
    of ``run``; ``inputs`` as they are now, without the clip's digest.
    """

    camera: str
    name: str
    source: str
    calib: str
    arguments: tuple[str, ...]
    inputs: Inputs

    @property
    def key(self) -> tuple[str, str]:
        """Camera and clip."""
        return self.camera, self.name


def list_recordings(site: Site, known: Mapping[tuple[str, str], Entry]) -> list[Recording]:
    """Return the clips of every camera; those in ``known``, the manifest, keep the names they have there.

    A clip is named as its file, without the ending; where that is taken, a number follows. Raises ``VideoError`` where
    no camera has a recording.
    """
    recordings = [recording for camera in site.cameras for recording in _of_camera(camera, known)]
    if not recordings:
        patterns = ", ".join(pattern for camera in site.cameras for pattern in camera.recordings)
        raise VideoError(f"{site.name}: no recording is there: nothing matches {patterns}. Check the paths.")
    return recordings


def _of_camera(camera: CameraEntry, known: Mapping[tuple[str, str], Entry]) -> list[Recording]:
    sources = dict.fromkeys(source for pattern in camera.recordings for source in _matches(pattern))
    if not sources:
        logger.warning("%s: no recording is there: nothing matches %s", camera.name, ", ".join(camera.recordings))
    names = {entry.source: entry.clip for entry in known.values() if entry.camera == camera.name}
    taken = {name.casefold() for name in names.values()}
    options_digest, calib_digests, recordings = _digest_of_arguments(camera.arguments), dict[str, str](), []
    for source in sources:
        if source not in names:
            names[source] = _free_name(source, taken)
            taken.add(names[source].casefold())
        calib = camera.calib or _beside(Path(source))
        if calib not in calib_digests:
            calib_digests[calib] = _digest_of_calibration(calib)
        inputs = Inputs(_stamp(source), "", calib_digests[calib], options_digest)
        recordings.append(Recording(camera.name, names[source], source, calib, camera.arguments, inputs))
    return recordings


def _matches(pattern: str) -> list[str]:
    """Return what ``pattern`` matches, by name; a file that bears the pattern's own characters comes first."""
    if is_url(pattern):
        return remote_files.glob_urls(pattern) if glob.has_magic(pattern) else [pattern]
    if Path(pattern).exists() or not glob.has_magic(pattern):
        return [pattern]
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(path for path in found if Path(path).is_file())


def _free_name(source: str, taken: set[str]) -> str:
    """Return a folder's name for ``source`` that is not ``taken`` and holds only characters that files can write."""
    stem = Path(source).stem if not is_url(source) else Path(source.rstrip("/").rpartition("/")[2]).stem
    plain = "".join(c if c.isprintable() else "_" for c in stem.encode("utf-8", "replace").decode()).lstrip(".")
    plain = plain.encode()[:200].decode(errors="ignore").strip() or "clip"
    name, number = plain, 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


def _beside(clip: Path) -> str:
    """Return the calibration of a clip in a folder: ``<clip>.yaml`` beside it where that exists, else ``cam.yaml``."""
    own = clip.with_suffix(".yaml")
    return str(own if own.is_file() else clip.with_name("cam.yaml"))


def _stamp(source: str) -> str:
    if is_url(source):
        return remote_files.stamp(source)
    try:
        status = Path(source).stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _digest_of_calibration(calib: str) -> str:
    try:
        return digest_of(remote_files.read_bytes(calib)) if is_url(calib) else digest_file(Path(calib))
    except MocapVideoError:  # each clip of the camera reports it
        return ""


def _digest_of_arguments(arguments: tuple[str, ...]) -> str:
    """Return a digest of what is typed and of the content of the files it names."""
    files = [Path(argument.partition("=")[2]) for argument in arguments if "=" in argument]
    return digest_of(arguments, [path for path in files if path.is_file()])


def is_current(recording: Recording, entry: Entry) -> bool:
    """Whether ``entry`` tells of the clip, calibration and options as they are now.

    A file of the same size and time is taken for the same; one that was merely copied or touched is read.
    """
    now, then = recording.inputs, entry.inputs
    if (now.calib_digest, now.options_digest) != (then.calib_digest, then.options_digest):
        return False
    if now.stamp == then.stamp:
        return True
    if is_url(recording.source) or not then.clip_digest:
        return False
    try:
        return digest_file(Path(recording.source)) == then.clip_digest
    except MocapVideoError:
        return False


def is_finished(entry: Entry) -> bool:
    """Whether the results of ``entry`` are there and whole."""
    if entry.state not in FINISHED:
        return False
    if is_url(entry.output):
        return remote_files.exists(f"{entry.output}/{remote_files.LAST}")
    return (Path(entry.output) / remote_files.LAST).is_file()
