"""Files cut into pieces that a narrow way lets through, and put together again on the other side."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from mocap_video.artifacts import atomic_write
from mocap_video.errors import ArtifactError

SHARD_BYTES = 16 * 2**20
FILES_A_FOLDER = 8
MANIFEST = "manifest.json"


def split_files(root: Path, files: Iterable[Path], output: Path, limit: int = SHARD_BYTES) -> list[Path]:
    """Cut ``files`` under ``root`` into pieces of at most ``limit`` bytes and return these.

    ``output`` is replaced: ``MANIFEST`` and folders ``000``, ``001``, ... of ``FILES_A_FOLDER`` pieces each.
    """
    fresh = output.with_name(output.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    entries, pieces = [], []
    for file in files:
        digest, numbers = hashlib.sha256(), []
        with file.open("rb") as stream:
            while data := stream.read(limit):
                number = len(pieces)
                piece = fresh / f"{number // FILES_A_FOLDER:03d}" / f"{number:04d}.part"
                piece.parent.mkdir(exist_ok=True)
                piece.write_bytes(data)
                digest.update(data)
                pieces.append(piece)
                numbers.append(str(piece.relative_to(fresh)))
        entries.append({"file": file.relative_to(root).as_posix(), "pieces": numbers, "sha256": digest.hexdigest()})
    (fresh / MANIFEST).write_text(json.dumps(entries, indent=1), encoding="utf-8")
    shutil.rmtree(output, ignore_errors=True)
    fresh.rename(output)
    return [output / piece.relative_to(fresh) for piece in pieces]


def join_files(shards: Path, root: Path) -> list[Path]:
    """Put the files that ``split_files`` cut back under ``root`` and return them; none where there is no manifest.

    Raises ``ArtifactError`` for a piece that is absent or changed, or a name that leads out of ``root``.
    """
    manifest = shards / MANIFEST
    if not manifest.is_file():
        return []
    written = []
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        for entry in entries:
            path, pieces = root / entry["file"], [shards / piece for piece in entry["pieces"]]
            if root.resolve() not in path.resolve().parents:
                raise ValueError(f"{entry['file']} leads out of {root}")
            digest = hashlib.sha256()
            with atomic_write(path) as partial, partial.open("wb") as stream:
                for piece in pieces:
                    data = piece.read_bytes()
                    digest.update(data)
                    stream.write(data)
                if digest.hexdigest() != entry["sha256"]:
                    raise ValueError(f"{entry['file']} is not what was cut: a piece is missing or changed")
            written.append(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{manifest}: {error}. Bring all its pieces, folder by folder.") from error
    return written
