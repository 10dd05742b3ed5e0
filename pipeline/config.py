"""Configurations: a file of ``configs/`` or the user's own, parsed once to frozen dataclasses.

A file is a mmengine config (Python, YAML or JSON) with the sections ``front_end``, ``people``, ``bias``, ``lift``,
``fit``, ``render``, ``pieces`` and ``gate``. An unknown section or option is refused with the nearest name that exists.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from mocap_video.detectors.bias import BiasConfig
from mocap_video.detectors.config import PeopleConfig
from mocap_video.detectors.front_end import FrontEndConfig, missing_parts
from mocap_video.errors import ConfigError
from mocap_video.lifter.fit import FitConfig
from mocap_video.lifter.lift import LiftConfig
from mocap_video.pipeline.gate import MotionGateConfig

logger = logging.getLogger(__name__)

Section = TypeVar("Section")
AUTO = "auto"
BEST_FIRST = ("vitpose", "vitpose-hf", "embedded")
"""The shipped configurations by how exact their keypoints are; the last needs nothing that may be missing."""

_SUFFIXES = (".py", ".yaml", ".yml", ".json")


@dataclass(frozen=True)
class RenderConfig:
    """How the videos look. ``opacity`` 0..1 of the bodies; ``fade_s``: how long a trail stays in the top view;
    ``topview_px``: side of the top view; ``review_height_px``: height of ``review.mp4``. ``videos``: write any at all;
    ``blur_faces``: make faces in them unrecognisable.
    """

    opacity: float = 0.85
    fade_s: float = 6.0
    topview_px: int = 720
    review_height_px: int = 720
    videos: bool = True
    blur_faces: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.opacity <= 1:
            raise ValueError(f"opacity: expected more than 0 and at most 1, got {self.opacity}")
        if not 0 < self.fade_s <= 3600:
            raise ValueError(f"fade_s: expected more than 0 and at most 3600 seconds, got {self.fade_s}")
        for name in ("topview_px", "review_height_px"):
            value = getattr(self, name)
            if not 64 <= value <= 4096 or value % 2:
                raise ValueError(f"{name}: expected an even number of pixels from 64 to 4096, got {value}")


@dataclass(frozen=True)
class PiecesConfig:
    """How a recording is cut: pieces of about ``length_s``, each of which is kept on disk once it is done."""

    length_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.length_s > 0:
            raise ValueError(f"length_s: expected a positive number of seconds, got {self.length_s}")


@dataclass(frozen=True)
class Config:
    """What a user may choose for one clip, stage by stage. ``reason``: why ``auto`` took it, "" where it did not."""

    name: str
    reason: str = ""
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    people: PeopleConfig = field(default_factory=PeopleConfig)
    bias: BiasConfig = field(default_factory=BiasConfig)
    lift: LiftConfig = field(default_factory=LiftConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    pieces: PiecesConfig = field(default_factory=PiecesConfig)
    gate: MotionGateConfig = field(default_factory=MotionGateConfig)


def config_names() -> tuple[str, ...]:
    """Return the names of the configurations that ship with the package."""
    folder = resources.files("mocap_video.configs")
    files = (entry.name for entry in folder.iterdir())
    return tuple(sorted(_name_of(name[:-3]) for name in files if name.endswith(".py") and not name.startswith("_")))


def load_config(name_or_file: str) -> Config:
    """Return the shipped configuration of that name, or the one in a file; ``ConfigError`` says what is wrong in it.

    ``auto`` is the first of ``BEST_FIRST`` whose packages and weights are all on this machine.
    """
    if name_or_file == AUTO:
        return _best_config()
    path = _locate(name_or_file)
    sections = read_config_file(path)
    known: dict[str, type[Any]] = {
        name: kind for name, kind in typing.get_type_hints(Config).items() if kind is not str
    }
    for section in sections:
        if section not in known:
            raise ConfigError(f"{path}: unknown section {section!r}; {_nearest(section, known)}.")
    parsed: dict[str, Any] = {
        name: parse_section(kind, sections.get(name, {}), f"{path}: {name}") for name, kind in known.items()
    }
    return Config(name=_name_of(path.stem) if name_or_file in config_names() else path.stem, **parsed)


def _best_config() -> Config:
    reasons: list[str] = []
    for name in BEST_FIRST:
        config = load_config(name)
        missing = missing_parts(config.front_end)
        if not missing:
            reason = f"{AUTO}: {'; '.join([*reasons, f'{name} has all that it needs'])}"
            logger.info("%s", reason)
            return dataclasses.replace(config, reason=reason)
        reasons.append(f"{name} lacks {', '.join(missing)}")
    raise AssertionError(f"{BEST_FIRST[-1]} needs nothing that may be missing")


def _name_of(module: str) -> str:
    """Return the name by which users call the configuration in ``module``."""
    return module.replace("_", "-")


def parse_section(cls: type[Section], values: object, where: str) -> Section:
    """Return ``cls(**values)`` with every name and type checked; ``where`` opens the message of a ``ConfigError``."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping of options, got {type(values).__name__}.")
    hints = typing.get_type_hints(cls)
    names = [part.name for part in dataclasses.fields(typing.cast(Any, cls)) if part.init]
    for name in values:
        if name not in names:
            raise ConfigError(f"{where}: unknown option {name!r}; {_nearest(str(name), names)}.")
    parsed = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in values.items()}
    try:
        return cls(**parsed)
    except (ValueError, TypeError) as error:  # TypeError: an option without a default is missing
        raise ConfigError(f"{where}: {error}") from error


def _locate(name_or_file: str) -> Path:
    if Path(name_or_file).suffix in _SUFFIXES:
        path = Path(name_or_file)
        if not path.is_file():
            raise ConfigError(
                f"{path}: no such config file. Check the path, or use one of {', '.join(config_names())}."
            )
        return path
    if name_or_file not in config_names():
        names = (AUTO, *config_names())
        raise ConfigError(
            f"--config {name_or_file}: no such configuration; {_nearest(name_or_file, names)}. "
            f"A file of your own must end in {', '.join(_SUFFIXES)}."
        )
    return Path(str(resources.files("mocap_video.configs") / f"{name_or_file.replace('-', '_')}.py"))


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the top-level names of a config file and their values; ``ConfigError`` when it cannot be read."""
    from mmengine.config import Config as MMConfig  # half a second to import: only when a file is read

    try:
        return MMConfig.fromfile(path, import_custom_modules=False, lazy_import=False).to_dict()
    except Exception as error:  # a config file is a program: whatever it raises is a fault of that file
        raise ConfigError(f"{path}: cannot be read as a config ({type(error).__name__}: {error}).") from error


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return advice: the nearest of the ``known`` names, and all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listed = f"known: {', '.join(known) or 'none'}"
    return f"did you mean {close[0]!r}? ({listed})" if close else listed


def _convert(value: object, hint: Any, where: str) -> Any:
    """Return ``value`` as what ``hint`` asks for: int may stand for float, list for tuple, mapping for dataclass."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if value is None and len(options) < len(typing.get_args(hint)):
            return None
        return _convert(value, options[0] if len(options) == 1 else _kind_of(value, options, where), where)
    if typing.get_origin(hint) is typing.Literal:
        if value in typing.get_args(hint):
            return value
        raise ConfigError(f"{where}: expected one of {typing.get_args(hint)}, got {value!r}.")
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return _convert_tuple(value, typing.get_args(hint), where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return parse_section(hint, value, where)
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if not isinstance(hint, type) or type(value) is not hint:
        raise ConfigError(
            f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r} ({type(value).__name__})."
        )
    return value


def _kind_of(value: object, kinds: list[Any], where: str) -> Any:
    """Return the dataclass of ``kinds`` whose ``type`` is the one that ``value`` names."""
    by_name = {kind().type: kind for kind in kinds}
    name = value.get("type") if isinstance(value, Mapping) else None
    if name not in by_name:
        raise ConfigError(f"{where}.type: expected one of {', '.join(by_name)}, got {name!r}.")
    return by_name[name]


def _convert_tuple(value: list[Any] | tuple[Any, ...], hints: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ConfigError(f"{where}: expected {len(hints)} values, got {len(value)}.")
    return tuple(_convert(item, hint, f"{where}[{i}]") for i, (item, hint) in enumerate(zip(value, hints, strict=True)))
