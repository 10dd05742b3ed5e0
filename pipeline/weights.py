"""``weights``: what is there of the list in ``detectors/weights``, fetching it, and reading it through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mocap_video.artifacts import RunLock, atomic_write
from mocap_video.detectors.weights import (
    NOTE,
    Weights,
    WeightsFile,
    known_weights,
    noted_digests,
    unknown_digests,
    verified_digests,
    weights_named,
    weights_path,
)
from mocap_video.errors import ArtifactError, MissingAsset
from mocap_video.pipeline.download import Expected, download, read_pointer
from mocap_video.pipeline.progress import Progress

State = Literal["ready", "partial", "absent", "verified", "unchecked", "damaged"]


@dataclass(frozen=True)
class Status:
    """What is known of weights on this machine: ``size`` in bytes on disk; ``detail`` says what is wrong or "".

    ``published_size`` in bytes, rounded where the publisher rounds it, None where nobody states it.
    """

    name: str
    state: State
    size: int
    published_size: int | None
    path: str
    purpose: str
    licence: str
    detail: str = ""


def list_weights() -> list[Status]:
    """Return all weights of the list and which of them are there; reads none of them."""
    return [_status(weights, _presence(weights)) for weights in known_weights().values()]


def verify_weights(names: Sequence[str] = ()) -> list[Status]:
    """Read the weights ``names``, or all that are there, and compare them with what was published and fetched."""
    chosen = [weights_named(name) for name in names] or [w for w in known_weights().values() if not w.missing()]
    return [_verified(weights) for weights in chosen]


def _presence(weights: Weights) -> State:
    missing = weights.missing()
    if not missing:
        return "ready"
    begun = len(missing) < len(weights.files) or any(weights.folder.glob("*.part"))
    return "partial" if begun else "absent"


def _status(weights: Weights, state: State, detail: str = "") -> Status:
    size = sum(path.stat().st_size for path in weights.paths() if path.is_file())
    published = weights.published_size()
    return Status(weights.name, state, size, published, str(weights.folder), weights.purpose, weights.licence, detail)


def _verified(weights: Weights) -> Status:
    try:
        digests = verified_digests(weights.name)
    except MissingAsset as error:
        return _status(weights, _presence(weights), str(error))
    except ArtifactError as error:
        return _status(weights, "damaged", str(error))
    if unknown := unknown_digests(weights):
        found = dict(zip(weights.files, digests, strict=True))
        advice = ", ".join(f"{file.name}: compare {found[file]} with {file.pointer}" for file in unknown)
        return _status(weights, "unchecked", f"no SHA-256 is known here of {advice}")
    return _status(weights, "verified", " ".join(digests))


def fetch_weights(name: str, progress: Progress) -> Path:
    """Fetch the files of the weights ``name`` that are not there yet; return what ``weights_path`` returns.

    A file that is there is read and must be right. Raises ``MissingAsset`` where the network fails, with what to do by
    hand, ``ArtifactError`` where the server gives something else, ``StorageError`` where nothing can be written.
    """
    weights = weights_named(name)
    with RunLock(weights.folder):
        for file, path in zip(weights.files, weights.paths(), strict=True):
            if not path.is_file():
                _fetch_file(weights, file, path, progress)
    verified_digests(name)
    return weights_path(name)


def _fetch_file(weights: Weights, file: WeightsFile, path: Path, progress: Progress) -> None:
    try:
        digest = download(file.url, path, _expected(file), progress)
    except MissingAsset as error:
        raise MissingAsset(
            f"{error}. Where there is no network: fetch it on another machine, put it at {path}, then "
            f"mocap-video weights verify {weights.name}"
        ) from error
    noted = {**noted_digests(weights.folder), file.name: digest}
    with atomic_write(weights.folder / NOTE) as partial:
        partial.write_text("".join(f"{value}  {key}\n" for key, value in noted.items()), encoding="utf-8")


def _expected(file: WeightsFile) -> Expected:
    """Return what the list says of ``file``, or its pointer, which knows more; ``ArtifactError`` if they disagree."""
    listed = Expected(file.sha256, file.size, file.rounding)
    if not file.pointer:
        return listed
    stated = read_pointer(file.pointer)
    if not stated.sha256.startswith(listed.sha256) or (stated.size is not None and not listed.fits(stated.size)):
        raise ArtifactError(
            f"{file.pointer}: expected a pointer to {listed}, got {stated}. The publisher has put another file in its "
            "place, or something on the way gives one; nothing was fetched"
        )
    return stated
