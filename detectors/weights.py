"""Weights that are fetched, not shipped: which there are, where they lie, and whether they are what was published."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import yaml

from mocap_video.artifacts import digest_file
from mocap_video.detectors.assets import MODELS_FOLDER
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset

NOTE = "SHA256SUMS"
"""File beside fetched weights with the digest of each as it arrived, in the format of the command sha256sum."""

FOLDER_VARIABLE = "MOCAP_VIDEO_WEIGHTS"
"""Environment variable that names another folder for weights than the cache folder of the platform."""

_UNITS = {"kB": 10**3, "MB": 10**6}


@dataclass(frozen=True)
class WeightsFile:
    """One file: its ``url``; the ``sha256`` that is known beforehand in hexadecimal, whole or its first digits, or "".

    ``pointer`` is "" or the URL of a Git LFS pointer, a short text that states SHA-256 and size of the file. ``size``
    in bytes, None where nobody states it; ``rounding`` in bytes: how far off a size may be that was published rounded.
    """

    url: str
    sha256: str = ""
    pointer: str = ""
    size: int | None = None
    rounding: int = 0

    @property
    def name(self) -> str:
        """Name of the file on disk, which is upstream's."""
        return Path(urlsplit(self.url).path).name

    def fits(self, size: int) -> bool:
        """Return whether a file of ``size`` bytes may be this one."""
        return self.size is None or abs(size - self.size) <= self.rounding


@dataclass(frozen=True)
class Weights:
    """An entry of the list: ``model`` is its name in its own framework, ``purpose`` and ``licence`` are for people."""

    name: str
    purpose: str
    model: str
    licence: str
    files: tuple[WeightsFile, ...]

    @property
    def folder(self) -> Path:
        """Folder of the files, whether or not they are there."""
        return weights_folder() / self.name

    def paths(self) -> tuple[Path, ...]:
        """Return where each file belongs, whether or not it is there."""
        return tuple(self.folder / file.name for file in self.files)

    def missing(self) -> tuple[Path, ...]:
        """Return the paths at which there is no file yet."""
        return tuple(path for path in self.paths() if not path.is_file())

    def published_size(self) -> int | None:
        """Return what all files come to in bytes, some of them rounded; None where one of them is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def weights_folder() -> Path:
    """Return the folder under which all weights lie: ``MOCAP_VIDEO_WEIGHTS``, or in the user's cache."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("mocap-video") / "weights"


@cache
def known_weights() -> dict[str, Weights]:
    """Return every entry of the list by name, in its order."""
    entries = yaml.safe_load((MODELS_FOLDER / "weights.yaml").read_text(encoding="utf-8"))
    return {
        name: Weights(
            name,
            entry["purpose"],
            entry["model"],
            entry["licence"],
            tuple(_listed_file(**file) for file in entry["files"]),
        )
        for name, entry in entries.items()
    }


def _listed_file(url: str, size: int | str | None, sha256: str = "", pointer: str = "") -> WeightsFile:
    """Return a file of the list, which gives ``size`` in bytes, or as it was published, such as "80.9 MB", or null."""
    if not isinstance(size, str):
        return WeightsFile(url, sha256, pointer, size)
    number, unit = size.split()
    decimals = len(number.partition(".")[2])
    return WeightsFile(url, sha256, pointer, round(float(number) * _UNITS[unit]), _UNITS[unit] // 10**decimals // 2)


def weights_named(name: str) -> Weights:
    """Return the entry ``name``; ``ConfigError`` where there is none."""
    known = known_weights()
    if name not in known:
        raise ConfigError(f"weights {name!r}: expected one of {', '.join(known)}.")
    return known[name]


def weights_path(name: str) -> Path:
    """Return the file of the weights ``name``, or their folder where they consist of several files.

    Only looks whether they are there: ``verified_digests`` reads them. Raises ``MissingAsset`` with the command that
    fetches them, and ``ConfigError`` for a name that is not in the list.
    """
    weights = weights_named(name)
    missing = weights.missing()
    if missing:
        raise MissingAsset(
            f"{missing[0]}: the weights {name} are not there. Fetch them with: mocap-video weights fetch {name}"
        )
    return weights.paths()[0] if len(weights.files) == 1 else weights.folder


def verified_digests(name: str) -> tuple[str, ...]:
    """Return the SHA-256 of every file of the weights ``name``, in the order of the list, once all are right.

    Each file is read and compared with the size and digest in the list and with the digest noted when it was fetched.
    Raises what ``weights_path`` raises, and ``ArtifactError`` for a file that is another one or has changed.
    """
    weights_path(name)
    weights = weights_named(name)
    noted = noted_digests(weights.folder)
    digests = []
    for file, path in zip(weights.files, weights.paths(), strict=True):
        advice = f"It is damaged or another file: delete it, then mocap-video weights fetch {name}"
        size = path.stat().st_size
        if not file.fits(size):
            about = "about " if file.rounding else ""
            raise ArtifactError(f"{path}: expected {about}{file.size} bytes, got {size}. {advice}")
        digest = digest_file(path)
        for expected in (file.sha256, noted.get(file.name, "")):
            if not digest.startswith(expected):
                dots = "..." if len(expected) < 64 else ""
                raise ArtifactError(f"{path}: expected SHA-256 {expected}{dots}, got {digest}. {advice}")
        digests.append(digest)
    return tuple(digests)


def unknown_digests(weights: Weights) -> tuple[WeightsFile, ...]:
    """Return the files whose digest is stated by their pointer alone, which nobody has read on this machine.

    ``fetch`` reads it. A file that was put there by hand can only be compared by its size.
    """
    noted = noted_digests(weights.folder)
    return tuple(file for file in weights.files if file.pointer and not file.sha256 and file.name not in noted)


def noted_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 by file name that were noted in ``folder`` when its files were fetched."""
    note = folder / NOTE
    lines = note.read_text(encoding="utf-8").splitlines() if note.is_file() else []
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}
