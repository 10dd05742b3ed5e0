"""The three videos in one pass: each frame is decoded, drawn and written before the next, so memory stays constant.

A recording is drawn a piece at a time, each from the people of that piece alone; the pieces are joined without encoding
them again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

import numpy as np
import torch
from scipy import sparse

from mocap_video.calib.ground import canonical_frame
from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.pipeline.cast import Cast
from mocap_video.pipeline.config import RenderConfig
from mocap_video.pipeline.progress import Advance
from mocap_video.pipeline.trust import CONTEXT_S, EVEN, FLAGS, Trust, assess
from mocap_video.pipeline.video import VideoWriter
from mocap_video.render.mesh import PosedMesh, person_colour
from mocap_video.render.overlay import OverlayRenderer, Placed
from mocap_video.render.paper import PageMap, fit_page
from mocap_video.render.review import ReviewBoard
from mocap_video.render.topview import GroundPath, TopView
from mocap_video.render.yuv import lay, yuv420_from_rgb
from mocap_video.stretches import gathered
from mocap_video.types import BodyFit, Calibration, Person, StoredFrame, Yuv420

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Skin:
    """The surface of one person's body over a clip, made a row at a time.

    ``shaped (N,4)`` m: the body in its rest pose, then 1; ``weights (N,24)``, most of them 0; ``chain (T,24,3,4)``:
    from the rest pose to the site world, a joint; ``bend (T,207)`` with ``posedirs (3N,207)`` m, or both None where the
    body has none.
    """

    shaped: np.ndarray
    weights: sparse.csr_matrix
    chain: np.ndarray
    bend: np.ndarray | None
    posedirs: np.ndarray | None

    @staticmethod
    def of(fit: BodyFit, body: BodyModel) -> Skin:
        """Pose ``body`` in every row of ``fit``; only the surface is left for later."""
        rotvec = np.concatenate([fit.global_orient[:, None], fit.body_pose], 1)
        betas, rotvec, transl = (torch.as_tensor(a, dtype=torch.float32) for a in (fit.betas, rotvec, fit.transl))
        R_parent_from_joint = matrix_from_rotvec(rotvec)
        posed = body.pose(betas, R_parent_from_joint, transl)
        rest = body.rest_joints + body.rest_joints_shape @ betas
        moved = posed.joints - (posed.R_world_from_joint @ rest[:, :, None])[..., 0]
        shaped = body.v_template + body.shapedirs @ betas
        bend = posedirs = None
        if body.posedirs is not None:
            bend = (R_parent_from_joint[:, 1:] - torch.eye(3)).flatten(1).numpy()
            posedirs = body.posedirs.flatten(0, 1).numpy()
        return Skin(
            shaped=np.pad(shaped.numpy(), ((0, 0), (0, 1)), constant_values=1.0),
            weights=sparse.csr_matrix(body.weights.numpy()),
            chain=torch.cat([posed.R_world_from_joint, moved[..., None]], -1).numpy(),
            bend=bend,
            posedirs=posedirs,
        )

    def vertices(self, row: int) -> np.ndarray:
        """Return the surface ``(N,3)`` m in the site world of row ``row`` of the fit."""
        shaped = self.shaped
        if self.bend is not None and self.posedirs is not None:
            shaped = shaped.copy()
            shaped[:, :3] += (self.posedirs @ self.bend[row]).reshape(-1, 3)
        blended = (self.weights @ self.chain[row].reshape(24, 12)).reshape(-1, 3, 4)
        return np.einsum("vab,vb->va", blended, shaped)


@dataclass(frozen=True)
class _Actor:
    """A person as the renderers need one: ``row_of`` maps a frame number to a row of ``person``'s arrays and of
    ``trust``.
    """

    person: Person
    skin: Skin
    trust: Trust
    row_of: dict[int, int]
    colour: np.ndarray
    label: str

    @staticmethod
    def of(person: Person, calibration: Calibration, body: BodyModel) -> _Actor:
        number = person.keypoints.person
        row_of = {int(frame): row for row, frame in enumerate(person.keypoints.frames)}
        trust = assess(person, calibration)
        return _Actor(person, Skin.of(person.body, body), trust, row_of, person_colour(number), str(number))

    def shade(self, frame: int) -> float:
        """Return how much of the colour is left: 1, and less where the body is more likely wrong than right."""
        return min(1.0, float(self.trust.score[self.row_of[frame]]) / EVEN)

    def note(self, frame: int) -> str:
        """Return the word of the strongest flag, empty where there is none."""
        return next((FLAGS[name].word for name in self.trust.ids(self.row_of[frame])), "")


class _Encoders:
    """Encodes beside the drawing of the next frame: libraries leave the interpreter to each other.

    At most one frame waits, so memory stays constant; the first error of a thread is raised by the next call.
    """

    def __init__(self, writers: Sequence[VideoWriter], board: ReviewBoard) -> None:
        self._overlay, self._topview, self._review = writers
        self._board = board
        self._threads = ThreadPoolExecutor(max_workers=2)
        self._pending: list[Future[None]] = []

    def __enter__(self) -> _Encoders:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._threads.shutdown()

    def write(self, over: Yuv420, above: np.ndarray, time_s: float) -> None:
        """Hand on the overlay and the top view ``(H,W,3)`` uint8 RGB of ``time_s`` seconds."""
        self.finish()

        def write_page() -> None:
            page = yuv420_from_rgb(above)
            self._topview.write_stored(page, time_s)
            self._review.write_stored(self._board.frame(over, page), time_s)

        self._pending = [
            self._threads.submit(self._overlay.write_stored, over, time_s),
            self._threads.submit(write_page),
        ]

    def finish(self) -> None:
        """Wait until all that was handed on is encoded."""
        for pending in self._pending:
            pending.result()


@dataclass(frozen=True)
class Scenery:
    """What all pieces of a recording's videos share: the camera, the ``body`` that people wear, the ``page`` of the top
    view, which holds everyone's whole way, and how it all looks.
    """

    calibration: Calibration
    body: BodyModel
    page: PageMap
    config: RenderConfig


def page_of(people: Cast, calibration: Calibration, config: RenderConfig) -> PageMap:
    """Return the top view's page, going through everyone's way once."""
    frame = canonical_frame(calibration.camera, calibration.ground)
    corners = []
    for course in people.courses:
        for piece in course.pieces:
            roots = gathered(people.bodies, course, *course.rows_in(piece)).joints[:, 0]
            ground = frame.to_canonical(roots)[:, [0, 2]]
            corners.append(np.stack([ground.min(0), ground.max(0)]))
    return fit_page(corners, (config.topview_px, config.topview_px))


def people_about(people: Cast, start_s: float, end_s: float, fade_s: float) -> list[Person]:
    """Return who is in the videos from ``start_s`` to ``end_s`` s, with what of their way is still shown, and with the
    frames about these that decide what is told of them.
    """
    begin_s = start_s - max(fade_s, CONTEXT_S)
    found = []
    for course in people.courses:
        first, stop = np.searchsorted(course.time_s, [begin_s, end_s + CONTEXT_S]).tolist()
        first = max(0, first - 1)  # a trail reaches to the frame before
        if first < stop and course.time_s[first] < end_s and course.time_s[stop - 1] >= begin_s:
            found.append(people.rows(course, first, stop))
    return found


def write_videos(
    frames: Iterable[StoredFrame],
    people: Sequence[Person],
    stage: Scenery,
    paths: Sequence[Path],
    advance: Advance,
    *,
    origin_s: float | None = None,
) -> None:
    """Write the overlay, the top view and both side by side to ``paths``, each whole or not at all.

    ``origin_s`` is the time s of the first frame of all, where these are not the first.
    """
    calibration, config, body = stage.calibration, stage.config, stage.body
    actors = [_Actor.of(person, calibration, body) for person in people]
    camera = calibration.camera
    topview_size = (config.topview_px, config.topview_px)
    board = ReviewBoard((camera.size, topview_size), config.review_height_px, caption=calibration.name)
    sizes = (camera.size, topview_size, board.size)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(VideoWriter(path, size, origin_s=origin_s))
            for path, size in zip(paths, sizes, strict=True)
        ]
        overlay = stack.enter_context(OverlayRenderer(camera, opacity=config.opacity))
        topview = stack.enter_context(
            TopView(camera, calibration.ground, _paths(actors), topview_size, fade_s=config.fade_s, page=stage.page)
        )
        encoders = stack.enter_context(_Encoders(writers, board))

        def prepared(frame: StoredFrame) -> tuple[StoredFrame, list[PosedMesh], list[Placed]]:
            present = [actor for actor in actors if frame.index in actor.row_of]
            meshes = [_mesh(actor, frame.index, body) for actor in present]
            labels = [actor.label for actor in present]
            notes = [actor.note(frame.index) for actor in present]
            trust = [actor.shade(frame.index) for actor in present]
            return frame, meshes, overlay.place(meshes, labels=labels, notes=notes, trust=trust)

        for frame, meshes, placed in stack.enter_context(contextlib.closing(_ahead(map(prepared, frames)))):
            for layer in overlay.draw(placed):
                lay(frame.picture, layer)
            encoders.write(frame.picture, topview.draw(frame.time_s, meshes), frame.time_s)
            advance(1)
        encoders.finish()


def _ahead(items: Iterable[_Item]) -> Generator[_Item, None, None]:
    """Yield ``items``, the next of which is made in a thread while one is used."""
    coming, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        item = thread.submit(next, coming, end)
        while (made := item.result()) is not end:
            item = thread.submit(next, coming, end)
            yield cast(_Item, made)


def _mesh(actor: _Actor, frame: int, body: BodyModel) -> PosedMesh:
    return PosedMesh(actor.skin.vertices(actor.row_of[frame]), body.faces, actor.colour)


def _paths(actors: Sequence[_Actor]) -> list[GroundPath]:
    paths = []
    for actor in actors:
        fit = actor.person.body
        R = matrix_from_rotvec(torch.as_tensor(fit.global_orient)).numpy()
        time_s = actor.person.keypoints.time_s
        paths.append(GroundPath(fit.person, time_s, fit.joints[:, 0], actor.colour, facing=R[..., 2]))
    return paths
