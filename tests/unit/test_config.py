"""Configurations: parsed once, unknown keys refused with the nearest name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from mocap_video.errors import ConfigError
from mocap_video.pipeline.config import config_names, load_config, parse_section


@dataclass(frozen=True)
class Inner:
    depth_m: float = 1.0


@dataclass(frozen=True)
class Sample:
    count: int = 1
    scale: float = 1.0
    name: str = ""
    flag: bool = False
    pair: tuple[int, int] = (1, 2)
    many: tuple[float, ...] = ()
    limit: float | None = None
    mode: Literal["a", "b"] = "a"
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count: expected at least 0")


@pytest.mark.parametrize("name", config_names())
def test_every_shipped_configuration_parses(name: str) -> None:
    assert load_config(name).name == name


def test_the_default_configuration_is_there() -> None:
    assert "embedded" in config_names()


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'embedded'"):
        load_config("embeded")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lift = dict(sampels=3)", "unknown option 'sampels'; did you mean 'samples'"),
        ("fitt = dict()", "unknown section 'fitt'; did you mean 'fit'"),
        ("lift = dict(samples='many')", r"lift.samples: expected int, got 'many'"),
        ("lift = dict(samples=0)", "must be positive"),
        ("lift = 3", "expected a mapping"),
        ("people = dict(scan=dict(perod_s=1))", "people.scan: unknown option 'perod_s'; did you mean 'period_s'"),
        ("render = dict(topview_px=721)", "topview_px: expected an even number"),
        ("lift = dict(", "cannot be read as a config"),
        ("raise RuntimeError('no')", "cannot be read as a config"),
    ],
)
def test_a_fault_in_a_file_is_named_with_file_and_option(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(str(path))
    assert str(path) in str(caught.value) or "positive" in message


def test_a_file_of_the_users_own_takes_effect_in_python_and_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("lift = dict(seed=7)\nfit = dict(height_m=2)\n")
    (tmp_path / "b.yaml").write_text("lift: {seed: 7}\nfit: {height_m: 2}\n")
    for name in ("a.py", "b.yaml"):
        config = load_config(str(tmp_path / name))
        assert config.lift.seed == 7
        assert config.fit.height_m == 2.0


def test_a_missing_file_is_told() -> None:
    with pytest.raises(ConfigError, match="no such config file"):
        load_config("nowhere/mine.py")


def test_values_are_converted_only_where_nothing_is_lost() -> None:
    parsed = parse_section(
        Sample,
        {"scale": 2, "pair": [3, 4], "many": [1, 2.5], "limit": 3, "mode": "b", "inner": {"depth_m": 4}},
        "here",
    )
    assert parsed == Sample(scale=2.0, pair=(3, 4), many=(1.0, 2.5), limit=3.0, mode="b", inner=Inner(4.0))
    assert isinstance(parsed.scale, float)
    assert parse_section(Sample, {"limit": None}, "here").limit is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 1.5}, "here.count: expected int"),
        ({"count": True}, "here.count: expected int"),
        ({"flag": 1}, "here.flag: expected bool"),
        ({"name": 3}, "here.name: expected str"),
        ({"pair": [1]}, "here.pair: expected 2 values, got 1"),
        ({"pair": [1, "x"]}, r"here.pair\[1\]: expected int"),
        ({"mode": "c"}, "here.mode: expected one of"),
        ({"inner": {"depth": 1}}, "here.inner: unknown option 'depth'; did you mean 'depth_m'"),
        ({"count": -1}, "here: count: expected at least 0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_full_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_section(Sample, values, "here")
