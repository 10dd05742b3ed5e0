"""A clip searched piece by piece holds the same people as one searched at once, whatever happens at a border."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mocap_video.detectors.people import PeopleFinder
from mocap_video.detectors.roster import PieceTracks, Roster, Sightings, everyone
from mocap_video.pipeline.packing import pack, unpack
from mocap_video.stretches import joined
from mocap_video.types import Keypoints2D
from synth.scenes import CALIBRATION, QUIET, Scene, run
from synth.walkers import Walk

RATE = 15


def in_pieces(scene: Scene, borders_s: list[float], end_s: float) -> tuple[Roster, list[PieceTracks]]:
    """Search ``scene`` in pieces that meet at ``borders_s``; all that passes from one to the next is packed between."""
    frames = list(scene.frames(end_s))
    edges = [0, *(round(border * RATE) for border in borders_s), len(frames)]
    seen: list[Sightings] = []
    for first, stop in itertools.pairwise(edges):
        state = seen[-1].state if seen else None
        finder = PeopleFinder(CALIBRATION, QUIET, detector=scene, estimator=scene, state=state)
        for frame in frames[first:stop]:
            finder.step(frame)
        seen.append(unpack(Sightings, pack([finder.hand_over()]))[0])
    roster = Roster.of(seen, QUIET.tracking)
    tracks: list[PieceTracks] = []
    for piece, here in enumerate(seen):
        before = tracks[-1] if tracks else None
        after = seen[piece + 1] if piece + 1 < len(seen) else None
        tracks.append(unpack(PieceTracks, pack([everyone(piece, roster, before, here, after)]))[0])
    return roster, tracks


def whole(tracks: list[PieceTracks]) -> list[Keypoints2D]:
    """Return everyone's keypoints put together, by number."""
    found: dict[int, list[Keypoints2D]] = {}
    for piece in tracks:
        for track in piece.tracks:
            found.setdefault(track.keypoints.person, []).append(track.keypoints)
    return [joined(found[number]) for number in sorted(found)]


CROSSING = [Walk((-3, 11), (1.0, 0)), Walk((3, 11.6), (-1.1, 0))]  # they meet at 2.86 s
SCENES = {
    "two cross on the border": (CROSSING, [2.86]),
    "two cross, borders all about": (CROSSING, [2.6, 2.8, 3.0, 3.2]),
    "hidden over a border": ([Walk((-3, 12), (1.0, 0.2), hidden_s=((2.0, 3.2),))], [2.5]),
    "enters just before a border": ([Walk((-2, 12), (0.5, 0)), Walk((2, 12), (-0.3, 0), enter_s=2.4)], [2.5]),
    "leaves at a border": ([Walk((-2, 12), (0.5, 0)), Walk((2, 12), (-0.3, 0), leave_s=2.5)], [2.5]),
}


@pytest.mark.parametrize(("walks", "borders_s"), SCENES.values(), ids=SCENES.keys())
def test_borders_change_nothing(walks: list[Walk], borders_s: list[float]) -> None:
    expected = run(Scene(walks, RATE), 5.5)
    roster, tracks = in_pieces(Scene(walks, RATE), borders_s, 5.5)
    found = whole(tracks)
    assert [one.person for one in found] == [one.keypoints.person for one in expected]
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.frames, theirs.keypoints.frames)
        np.testing.assert_array_equal(mine.xy, theirs.keypoints.xy)
        np.testing.assert_array_equal(mine.score, theirs.keypoints.score)
    for course, mine in zip(roster.courses(), found, strict=True):
        np.testing.assert_array_equal(course.time_s, mine.time_s)
        rows = [course.rows_in(piece) for piece in range(len(tracks))]
        held = [next((len(t.keypoints.frames) for t in p.tracks if t.track.person == course.person), 0) for p in tracks]
        assert [stop - first for first, stop in rows] == held


def test_boxes_bridge_a_border() -> None:
    walks, borders_s = SCENES["hidden over a border"]
    (expected,) = run(Scene(walks, RATE), 5.5)
    _, tracks = in_pieces(Scene(walks, RATE), borders_s, 5.5)
    boxes = joined([track.track for piece in tracks for track in piece.tracks])
    np.testing.assert_allclose(boxes.box_xyxy, expected.track.box_xyxy, atol=1e-9)  # px


def test_who_is_seen_for_a_moment_about_a_border_is_nobody() -> None:
    roster, _ = in_pieces(Scene([Walk((0, 12), (0.5, 0), enter_s=2.4, leave_s=2.6)], RATE), [2.5], 5.0)
    assert roster.lives == ()
    assert len(roster.frames) == 75


def test_sides_exchanged_at_a_border_are_put_right_on_both_sides_of_it() -> None:
    """Exchanged from a little before the border to a little after it, so the choice needs both sides of it."""

    class Confused(Scene):
        def seen(self, rgb: np.ndarray) -> np.ndarray:
            people = super().seen(rgb)
            time_s = (int(rgb[0, 0, 0]) * 256 + int(rgb[0, 0, 1])) / self.rate
            flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
            return people[:, flip] if 2.39 < time_s < 2.54 else people  # 3 frames

    walk = Walk((-1, 10), (0.4, -0.9))
    _, tracks = in_pieces(Confused([walk], RATE), [2.47], 5.5)
    (expected,) = run(Scene([walk], RATE), 5.5)
    (found,) = whole(tracks)
    np.testing.assert_array_equal(found.xy, expected.keypoints.xy)
