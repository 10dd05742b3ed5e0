"""YAML read with care: every value knows its file and key, so every refusal can say where, what, and what to do."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from mocap_video.errors import CalibrationError, MocapVideoError

MAX_BYTES = 100_000
"""A file larger than this is something else."""

MAX_DEPTH = 20
"""Deeper nesting is none of ours; YAML's parser takes a time that grows with its square."""

_FLOAT = "tag:yaml.org,2002:float"
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, and reads 1e-3 as the number it is in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


@dataclass(frozen=True)
class Kind:
    """What a file is meant to be, in the words of what refuses it: ``what`` is expected, ``advice`` which file to give,
    and the ``error`` it comes as.
    """

    what: str
    advice: str
    error: type[MocapVideoError]


CALIBRATION = Kind("a calibration", "Give the cam.yaml of this camera.", CalibrationError)


@dataclass(frozen=True)
class Field:
    """A value of a YAML file and where it stands: ``key`` is the path of keys, such as ``world.ground``."""

    file: Path
    key: str
    value: object
    kind: Kind = CALIBRATION

    def refusal(self, expected: str, advice: str) -> MocapVideoError:
        """Return the error that refuses this value: where, what was expected, what was got, what to do."""
        return self.kind.error(f"{self.file}: {self.key}: expected {expected}, got {_short(self.value)}. {advice}")

    def items(self, expected: str, advice: str) -> list[Field]:
        """Return the fields of this list, which is not empty; anything else is refused in these words."""
        if not isinstance(self.value, list) or not self.value:
            raise self.refusal(expected, advice)
        return [self._within(f"{self.key}[{i}]", value) for i, value in enumerate(self.value)]

    def _within(self, key: str, value: object) -> Field:
        return replace(self, key=key, value=value)

    def entries(self, known: Iterable[str], required: Iterable[str] = (), *, open_ended: bool = False) -> Entries:
        """Return the fields of this mapping by key; a missing or (unless ``open_ended``) an unknown key is refused."""
        known, required = list(known), list(required)
        if not isinstance(self.value, Mapping):
            raise self.refusal(
                f"a mapping with the keys {', '.join(known)}", "Write them indented below, or in braces."
            )
        for key in self.value:
            if key not in known and not open_ended:
                close = difflib.get_close_matches(str(key), known, n=1)
                advice = f"Did you mean {close[0]!r}?" if close else "Remove it or correct its name."
                raise self.kind.error(
                    f"{self.file}: {self._path(key)}: unknown key; expected one of {', '.join(known)}. {advice}"
                )
        missing = [key for key in required if key not in self.value]
        if missing:
            found = ", ".join(str(key) for key in self.value) or "nothing"
            raise self.kind.error(
                f"{self.file}: {self._path(missing[0])}: missing; expected the keys {', '.join(required)}, "
                f"got {found}. Add {missing[0]!r}."
            )
        return {key: self._within(self._path(key), value) for key, value in self.value.items()}

    def _path(self, key: object) -> str:
        return f"{self.key}.{key}" if self.key else str(key)

    def number(self, low: float = -math.inf, high: float = math.inf, unit: str = "") -> float:
        """Return this finite number, which must lie in [low, high]."""
        what = f"a number{' of ' + unit if unit else ''}"
        if isinstance(self.value, str):
            raise self.refusal(what, "Write it without quotes, unit or comma, such as 3.2.")
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self.refusal(what, "Write one number.")
        if not abs(self.value) < 1e300:
            raise self.refusal(f"a finite {what[2:]}", "Replace NaN or infinity by the measured value.")
        if not low <= self.value <= high:
            raise self.refusal(f"{what} from {low:g} to {high:g}", "Correct the value or its unit.")
        return float(self.value)

    def numbers(self, counts: tuple[int, ...], layout: str) -> np.ndarray:
        """Return this list of finite numbers ``(N)`` with N in ``counts``; ``layout`` says what they are."""
        if not isinstance(self.value, list) or len(self.value) not in counts:
            raise self.refusal(f"the list {layout}", "Write the numbers in brackets, separated by commas.")
        return np.array([self._within(f"{self.key}[{i}]", v).number() for i, v in enumerate(self.value)])

    def matrix_3x3(self) -> np.ndarray:
        """Return this list of three rows of three finite numbers ``(3,3)``."""
        if not isinstance(self.value, list) or len(self.value) != 3:
            raise self.refusal("three rows of three numbers", "Write [[a, b, c], [d, e, f], [g, h, i]].")
        rows = [self._within(f"{self.key}[{i}]", row) for i, row in enumerate(self.value)]
        return np.stack([row.numbers((3,), "of three numbers") for row in rows])

    def text(self) -> str:
        """Return this text; a bare number is taken as written, and an empty value as no text."""
        if self.value is None:
            return ""
        if isinstance(self.value, bool) or not isinstance(self.value, (str, int, float)):
            raise self.refusal("a text", "Write it in quotes.")
        return str(self.value)

    def choice(self, options: Iterable[str]) -> str:
        """Return this text, which must be one of ``options``."""
        options = list(options)
        if not isinstance(self.value, str) or self.value not in options:
            close = difflib.get_close_matches(str(self.value), options, n=1)
            raise self.refusal(
                f"one of {', '.join(options)}", f"Did you mean {close[0]!r}?" if close else "Choose one."
            )
        return self.value


Entries = dict[str, Field]


def _short(value: object) -> str:
    """Return a bounded description of ``value``: a file may hold anything."""
    if value is None:
        return "nothing"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)


def read_text(path: Path, kind: Kind = CALIBRATION) -> str:
    """Return the text of ``path``; a file that cannot be of this ``kind`` is refused."""
    advice = kind.advice
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise kind.error(f"{path}: cannot be read ({error.strerror}). Check the path. {advice}") from error
    if len(data) > MAX_BYTES:
        raise kind.error(f"{path}: expected a YAML text of at most {MAX_BYTES} bytes, got a larger file. {advice}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise kind.error(f"{path}: expected a YAML text in UTF-8, got other data. {advice}") from error
    if "\0" in text:
        raise kind.error(f"{path}: expected a YAML text in UTF-8, got binary data. {advice}")
    return text


def _check_tokens(text: str) -> None:
    """Refuse tags, and nesting deeper than ``MAX_DEPTH``, before anything is built."""
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if isinstance(token, yaml.TagToken):
            raise yaml.MarkedYAMLError(problem="tags (!...) are not allowed", problem_mark=token.start_mark)
        if depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=token.start_mark)


def parse_yaml(text: str, path: Path, kind: Kind = CALIBRATION) -> Field:
    """Return the one document of ``text``; ``path`` is the file that messages name."""
    try:
        _check_tokens(text)
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "not YAML"
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise kind.error(
            f"{path}: {place}{problem}. Expected YAML: check indentation (spaces, no tabs), brackets and colons."
        ) from error
    except ValueError as error:  # an impossible date, a number of 5000 digits
        raise kind.error(f"{path}: expected YAML as the guide shows, got {_short(str(error))}.") from error
    if value is None:
        raise kind.error(f"{path}: expected {kind.what}, got an empty file. Write it as the guide shows.")
    return Field(path, "", value, kind)
