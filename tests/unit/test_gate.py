"""The motion gate on made clips: empty stretches sleep, whoever walks in is seen in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from mocap_video.errors import ConfigError
from mocap_video.pipeline.gate import Motion, MotionGateConfig, awake, watch
from mocap_video.types import StoredFrame, Yuv420

RATE, SIZE = 10, (320, 180)
CONFIG = MotionGateConfig(on=True, width_px=320)


def clip(seconds: float, draw: Callable[[np.ndarray, float], None], *, noise: float = 2.0) -> Iterator[StoredFrame]:
    """Yield a textured yard with sensor noise, on whose luma ``(H,W)`` float ``draw`` draws what is there at a time."""
    rng = np.random.default_rng(0)
    yard = rng.uniform(60, 140, (SIZE[1] // 10, SIZE[0] // 10)).repeat(10, 0).repeat(10, 1)
    for index in range(round(seconds * RATE)):
        luma = yard + rng.normal(0, noise, yard.shape)
        draw(luma, index / RATE)
        picture = Yuv420.empty(SIZE)
        picture.data[...] = 128
        picture.planes[0][...] = luma.clip(0, 255).astype(np.uint8)
        yield StoredFrame(index, index / RATE, picture)


def walks_from_20_to_25_s(luma: np.ndarray, time_s: float) -> None:
    if 20 <= time_s < 25:
        x = int(50 + 20 * (time_s - 20))
        luma[75:95, x : x + 6] = 30  # 20 px tall in 180 lines


def awake_s(motion: Motion, seconds: float) -> np.ndarray:
    times = np.arange(0, seconds, 0.1)
    return times[[awake([motion], time_s, CONFIG) for time_s in times]]


@pytest.mark.parametrize("noise", [0.5, 2.0, 4.0])
def test_an_empty_stretch_sleeps_and_a_walker_wakes_it_before_coming(noise: float) -> None:
    found = awake_s(watch(clip(40, walks_from_20_to_25_s, noise=noise), CONFIG), 40)
    assert found[0] == 0, "it begins awake"
    first, last = found[found > 10][[0, -1]]
    assert first == pytest.approx(20 - CONFIG.ahead_s, abs=0.3)  # s
    assert 25 + CONFIG.hold_s - 0.5 < last < 40
    asleep = np.setdiff1d(np.arange(0, 40, 0.1).round(1), found.round(1))
    assert ((asleep > CONFIG.hold_s) & (asleep < 18)).sum() > 100


def test_a_lamp_that_goes_on_counts_as_motion() -> None:
    def lamp(luma: np.ndarray, time_s: float) -> None:
        luma += 25 * (time_s >= 20)

    assert awake_s(watch(clip(30, lamp), CONFIG), 30)[-1] > 20


def test_who_moves_very_slowly_is_seen_against_the_background() -> None:
    def creep(luma: np.ndarray, time_s: float) -> None:
        x = int(150 + 0.75 * time_s)  # px
        luma[75:95, x : x + 6] = 30

    found = awake_s(watch(clip(20, creep), CONFIG), 20)
    assert len(found) == 200


def test_motion_of_the_next_piece_wakes_the_end_of_this_one() -> None:
    here, following = Motion(np.array([0.0])), Motion(np.array([60.0]))
    assert not awake([here], 59.0, CONFIG)
    assert awake([here, following], 59.0, CONFIG)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="gate: expected"):
        MotionGateConfig(rate_hz=0)
