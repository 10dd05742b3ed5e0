"""Where people went on a site's ground: read from people.csv of finished results alone."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.errors import ArtifactError
from mocap_video.pipeline.site import Site

_NEEDED = ("time_s", "person", "x", "y", "z")


@dataclass(frozen=True)
class GroundTrack:
    """One person's way: ``time_s (T)`` s, increasing, and ``ground (T,2)`` m."""

    person: int
    time_s: np.ndarray
    ground: np.ndarray


def read_tracks(folder: Path, site: Site) -> list[GroundTrack]:
    """Return everyone's way on the ground from the results in ``folder``; ``ArtifactError``: people.csv is damaged."""
    path = folder / "people.csv"
    rows: dict[int, list[tuple[float, float, float, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise ArtifactError(f"{path}: expected the columns {', '.join(_NEEDED)}; {missing[0]!r} is missing.")
            for row in reader:
                values = (float(row[name]) for name in ("time_s", "x", "y", "z"))
                rows.setdefault(int(row["person"]), []).append(tuple(values))  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ArtifactError(f"{path}: expected the table that `run` writes ({error}). Run the clip again.") from error
    return [_track(person, np.array(values), site, path) for person, values in sorted(rows.items())]


def _track(person: int, values: np.ndarray, site: Site, path: Path) -> GroundTrack:
    if not np.isfinite(values).all() or (np.diff(values[:, 0]) <= 0).any():
        raise ArtifactError(f"{path}: person {person}: expected finite places at increasing times. Run the clip again.")
    columns = [("xyz".index(axis[-1]) + 1, -1.0 if axis.startswith("-") else 1.0) for axis in site.ground_axes]
    ground = np.stack([sign * values[:, column] for column, sign in columns], -1)
    return GroundTrack(person, values[:, 0], ground)
