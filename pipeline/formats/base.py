"""What the formats share: people as their writers take them, and the two kinds of format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocap_video.lifter.body import BodyModel
from mocap_video.optional import require
from mocap_video.pipeline.results import PersonRecord


@dataclass(frozen=True)
class Take:
    """One person of a clip: their ``number``, the ``record`` and the file it was read from, and the site world's upward
    direction ``up (3)``, a unit vector.
    """

    number: int
    record: PersonRecord
    source: Path
    up: np.ndarray


@dataclass(frozen=True)
class Performer:
    """A take with the ``body`` model that its record was fitted with."""

    take: Take
    body: BodyModel


@dataclass(frozen=True)
class Need:
    """A ``module`` that a format cannot be written without, and the ``extra`` that installs it."""

    module: str
    extra: str

    def check(self) -> None:
        """Raise ``MissingExtra`` where the module cannot be imported."""
        require(self.module, self.extra)


@dataclass(frozen=True)
class PersonFormat:
    """A format that holds one person a file; ``write`` takes whom and where to."""

    write: Callable[[Take, Path], None]
    need: Need | None = None


@dataclass(frozen=True)
class SceneFormat:
    """A format that holds everyone of a clip with their bodies in one file."""

    write: Callable[[tuple[Performer, ...], Path], None]
    need: Need | None = None
