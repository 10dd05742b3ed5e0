"""What a user may set about finding people. Times are seconds, so that any frame rate gives the same behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field

from mocap_video.errors import ConfigError


@dataclass(frozen=True)
class ScanConfig:
    """Where and how often new people are looked for.

    ``period_s``: the whole view is searched once in this time, one tile at a time. ``min_person_px``: height of the
    smallest person worth finding. ``max_range_m``: farthest ground that is searched. ``max_tiles``: a view that would
    need more leaves its smallest people to motion and HOG. ``motion`` and ``hog`` switch those two; ``hog_period_s`` is
    how often HOG runs where people are too small for the tiles.
    """

    period_s: float = 0.5
    min_person_px: float = 48.0
    max_range_m: float = 60.0
    max_tiles: int = 24
    motion: bool = True
    hog: bool = True
    hog_period_s: float = 3.0

    def __post_init__(self) -> None:
        _positive("scan", self, ("period_s", "min_person_px", "max_range_m", "max_tiles", "hog_period_s"))


@dataclass(frozen=True)
class GateConfig:
    """What a new person must show; one who is tracked may lie, jump or leave the ground.

    ``presence``: the estimator's certainty. ``stature_m``: smallest and largest stature that stands where the feet are.
    ``mean_score``: of the limbs' keypoints. ``off_ground_presence`` and ``off_ground_score`` are asked instead of
    somebody whose feet do not stand on the ground plane, such as a man on a wall.
    """

    presence: float = 0.6
    mean_score: float = 0.4
    stature_m: tuple[float, float] = (0.8, 2.3)
    off_ground_presence: float = 0.9
    off_ground_score: float = 0.55

    def __post_init__(self) -> None:
        low, high = self.stature_m
        if not 0 < low < high:
            raise ConfigError(f"gate.stature_m: expected two growing positive numbers, got {self.stature_m}")


@dataclass(frozen=True)
class TrackingConfig:
    """How identity is kept.

    ``confirm_s``: a new person must be seen for so long. ``bridge_s``: so long may somebody be hidden and keep the
    number. ``min_length_s``: shorter tracks are dropped. ``high_presence`` and ``certain_score`` (mean of the limbs'
    keypoints) split the two rounds of association, ``low_presence`` ends the second. ``acceleration`` (m/s^2): how fast
    people change their motion.
    """

    confirm_s: float = 0.12
    bridge_s: float = 1.5
    min_length_s: float = 0.3
    high_presence: float = 0.6
    low_presence: float = 0.3
    certain_score: float = 0.3
    acceleration: float = 3.0

    def __post_init__(self) -> None:
        _positive("tracking", self, ("bridge_s", "min_length_s", "high_presence", "low_presence", "acceleration"))


@dataclass(frozen=True)
class PeopleConfig:
    """Everything about finding and following people."""

    scan: ScanConfig = field(default_factory=ScanConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)


def _positive(section: str, config: object, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(config, name)
        if not value > 0:
            raise ConfigError(f"{section}.{name}: expected a positive number, got {value}")
