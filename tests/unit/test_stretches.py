"""Pieces of a recording, and people's rows over them."""

from __future__ import annotations

import numpy as np
import pytest

from mocap_video.stretches import Course, Piece, course_of, cut_pieces, gathered, joined, rows_of, sampled
from synth.people import make_person


def test_a_recording_is_cut_evenly_and_wholly() -> None:
    time_s = np.arange(1000) / 10
    pieces = cut_pieces(np.arange(50, 1050), time_s, 30.0)
    assert [piece.index for piece in pieces] == [0, 1, 2]
    assert pieces[0].first == 50
    assert pieces[-1].stop == 1050
    assert [a.stop for a in pieces[:-1]] == [b.first for b in pieces[1:]]
    assert np.ptp([piece.stop - piece.first for piece in pieces]) <= 1


@pytest.mark.parametrize("seconds", [0.0, 1.0, 44.0])
def test_what_is_short_is_one_piece(seconds: float) -> None:
    frames = np.arange(max(1, round(seconds * 10)))
    assert cut_pieces(frames, frames / 10, 30.0) == (Piece(0, 0, len(frames)),)


def test_stretches_without_frames_make_no_piece() -> None:
    time_s = np.concatenate([np.arange(100) / 10, 3600 + np.arange(100) / 10])
    pieces = cut_pieces(np.arange(200), time_s, 60.0)
    assert pieces == (Piece(0, 0, 100), Piece(1, 100, 200))


def test_rows_are_found_over_pieces() -> None:
    person = make_person(3, 100)
    pieces = cut_pieces(np.arange(-20, 130), np.arange(-20, 130) / 30, 1.0)
    course = course_of(3, person.keypoints.frames, person.keypoints.time_s, pieces)
    shelf = [
        [rows_of(value, slice(*course.rows_in(piece.index))) for value in (make_person(9, 100).motion, person.motion)]
        if piece.index in course.pieces
        else []
        for piece in pieces
    ]
    assert len(course) == 100
    assert 2 < len(course.pieces) <= len(pieces)
    np.testing.assert_array_equal(joined([part[1] for part in shelf if part]).joints, person.motion.joints)
    found = gathered(shelf, course, 20, 77)
    assert found.person == 3
    np.testing.assert_array_equal(found.joints, person.motion.joints[20:77])
    some = np.array([0, 1, 40, 99])
    np.testing.assert_array_equal(sampled(shelf, course, some).joints, person.motion.joints[some])


def test_a_course_must_hold_all_rows() -> None:
    with pytest.raises(ValueError, match=r"expected 0 to 5, got \[0, 4\]"):
        Course(1, np.arange(5.0), 0, np.array([0, 4]))
