"""Choosing and building front ends: weights from disk without running code, `auto`, and life without the extras."""

from __future__ import annotations

import hashlib
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mocap_video.detectors import weights as listing
from mocap_video.detectors.front_end import (
    DetrDetection,
    FrontEndConfig,
    RTMDetDetection,
    ViTPoseHFKeypoints,
    ViTPoseKeypoints,
    build_front_end,
    missing_parts,
)
from mocap_video.detectors.weights import FOLDER_VARIABLE, known_weights
from mocap_video.errors import ArtifactError, ConfigError, MissingAsset
from mocap_video.pipeline import config as choosing
from mocap_video.pipeline.config import BEST_FIRST, load_config
from synth.backends import RTMDET_TINY, VITPOSE_S, random_dfine_model, random_hf_vitpose_model, random_rtdetr_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of weights."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    return tmp_path / "weights"


def publish(monkeypatch: pytest.MonkeyPatch, name: str, content: object, *, digits: int = 8) -> Path:
    """Put a checkpoint with ``content`` where the weights ``name`` belong, and its digest into the list."""
    weights = known_weights()[name]
    (path,) = weights.paths()
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:digits]
    file = listing.WeightsFile(weights.files[0].url, digest)
    entry = listing.Weights(name, weights.purpose, weights.model, weights.licence, (file,))
    known = {**known_weights(), name: entry}
    monkeypatch.setattr(listing, "known_weights", lambda: known)
    return path


def vitpose_state() -> dict[str, torch.Tensor]:
    pytest.importorskip("mmpose")
    from mocap_video.detectors.openmmlab.vitpose import ViTPose

    return ViTPose(VITPOSE_S).model.state_dict()


def front_end_of(keypoints: str = "vitpose-s") -> FrontEndConfig:
    return FrontEndConfig(keypoints=ViTPoseKeypoints(weights=keypoints))


def training_log() -> dict[str, object]:
    """What OpenMMLab's trainer leaves in a checkpoint beside the weights."""
    buffer = HistoryBuffer()
    buffer.update(0.5)
    return {"epoch": 210, "dataset_meta": {"sigmas": np.array([0.026, 0.025], np.float32)}, "loss": buffer}


def test_published_openmmlab_weights_are_read_with_their_training_log(monkeypatch: pytest.MonkeyPatch) -> None:
    state = vitpose_state()
    content = {"meta": training_log(), "state_dict": {**state, "old.buffer": torch.zeros(1)}}
    path = publish(monkeypatch, "vitpose-s", content)
    built = build_front_end(front_end_of())
    assert built.name == "blazepose-heavy + vitpose-s"
    assert built.digests[1] == hashlib.sha256(path.read_bytes()).hexdigest()
    network: Any = built.estimator
    loaded = network._network.model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_rtmdet_is_built_with_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mmdet")
    from mocap_video.detectors.openmmlab.rtmdet import RTMDet

    publish(monkeypatch, "rtmdet-tiny", {"state_dict": RTMDet(RTMDET_TINY, 0.3).model.state_dict()})
    built = build_front_end(FrontEndConfig(detector=RTMDetDetection(weights="rtmdet-tiny")))
    assert built.name == "rtmdet-tiny + blazepose-heavy"
    assert len(built.detector.detect(np.zeros((32, 32, 3), np.uint8)).score) >= 0


def publish_huggingface(monkeypatch: pytest.MonkeyPatch, name: str, model: torch.nn.Module) -> None:
    """Put ``model`` where the weights ``name`` belong, and forget which size and digest theirs have."""
    weights = known_weights()[name]
    model.save_pretrained(weights.folder)  # pyright: ignore[reportCallIssue]
    (weights.folder / "preprocessor_config.json").write_text("{}")
    files = tuple(listing.WeightsFile(file.url) for file in weights.files)
    entry = listing.Weights(name, weights.purpose, weights.model, weights.licence, files)
    known = {**listing.known_weights(), name: entry}
    monkeypatch.setattr(listing, "known_weights", lambda: known)


@pytest.mark.parametrize(
    ("detector", "random_model"), [("rtdetr-r18-hf", random_rtdetr_model), ("dfine-n-hf", random_dfine_model)]
)
def test_huggingface_weights_are_read_from_their_folder(
    monkeypatch: pytest.MonkeyPatch, detector: str, random_model: Callable[[], torch.nn.Module]
) -> None:
    publish_huggingface(monkeypatch, "vitpose-b-hf", random_hf_vitpose_model())
    publish_huggingface(monkeypatch, detector, random_model())
    config = FrontEndConfig(DetrDetection(weights=detector), ViTPoseHFKeypoints())
    assert missing_parts(config) == []
    built = build_front_end(config)
    assert built.name == f"{detector} + vitpose-b-hf"
    assert built.detector.detect(np.zeros((64, 64, 3), np.uint8)).box_xyxy.shape[1] == 4
    assert len(built.digests) == 6
    assert len(built.estimator.estimate(np.zeros((64, 64, 3), np.uint8), np.array([[5.0, 5, 50, 50]]))) == 1


def test_huggingface_weights_of_another_model_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    publish_huggingface(monkeypatch, "vitpose-b-hf", random_rtdetr_model())
    with pytest.raises(ArtifactError, match="expected"):
        build_front_end(FrontEndConfig(keypoints=ViTPoseHFKeypoints()))


class Harmful:
    """A pickle that runs code when it is opened."""

    ran: ClassVar[list[bool]] = []

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _harm, ()


def _harm() -> dict[str, object]:
    Harmful.ran.append(True)
    return {}


@pytest.mark.parametrize("digits", [8, 63])
def test_a_checkpoint_that_could_run_code_is_refused_unread(monkeypatch: pytest.MonkeyPatch, digits: int) -> None:
    """Eight digits of a digest are soon matched by a forger."""
    pytest.importorskip("mmpose")
    Harmful.ran.clear()
    path = publish(monkeypatch, "vitpose-s", {"meta": Harmful(), "state_dict": {}}, digits=digits)
    with pytest.raises(ArtifactError, match="could run code") as caught:
        build_front_end(front_end_of())
    assert str(path) in str(caught.value)
    assert Harmful.ran == []


def test_only_a_file_of_a_whole_published_digest_is_opened_as_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    Harmful.ran.clear()
    publish(monkeypatch, "vitpose-s", {"meta": Harmful(), "state_dict": vitpose_state()}, digits=64)
    build_front_end(front_end_of())
    assert Harmful.ran == [True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"backbone.pos_embed": torch.zeros(1, 3, 5)}}, "expected the weights of td-hm_ViTPose-small"),
        ({"state_dict": {}}, r"\d+ of them are missing"),
        ({"state_dict": {"a": 1}}, "state_dict of tensors"),
        (torch.zeros(3), "state_dict of tensors"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: object, message: str
) -> None:
    pytest.importorskip("mmpose")
    publish(monkeypatch, "vitpose-s", content)
    with pytest.raises(ArtifactError, match=message):
        build_front_end(front_end_of())


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mmpose")
    from mocap_video.detectors.openmmlab.models import read_state

    path = tmp_path / "weights.pth"
    for content in (b"", b"<html>not found</html>", pickle.dumps({"state_dict": {}})[:-3]):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"weights\.pth"):
            read_state(path, trusted=False)


def test_absent_weights_name_the_command_that_fetches_them() -> None:
    pytest.importorskip("mmpose")
    with pytest.raises(MissingAsset, match="mocap-video weights fetch vitpose-s"):
        build_front_end(front_end_of())


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (RTMDetDetection, {"weights": "vitpose-b"}, "expected the name of rtmdet-"),
        (RTMDetDetection, {"weights": "rtmdet-xxl"}, "expected one of"),
        (RTMDetDetection, {"score": 0}, "score"),
        (ViTPoseKeypoints, {"weights": "vitpose-b-hf"}, "expected the name of vitpose-"),
        (ViTPoseHFKeypoints, {"weights": "vitpose-b"}, "-hf"),
        (ViTPoseKeypoints, {"batch": 0}, "batch"),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**options)


def test_a_file_names_detector_and_keypoints_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("front_end: {detector: {type: rtmdet, weights: rtmdet-l}, keypoints: {type: blazepose}}\n")
    config = load_config(str(path))
    assert config.front_end.detector == RTMDetDetection(weights="rtmdet-l")
    for text, message in (
        ("{detector: {type: rtmdt}}", "front_end.detector.type: expected one of blazepose, rtmdet, detr, got 'rtmdt'"),
        ("{detector: {weights: rtmdet-l}}", "front_end.detector.type: expected one of"),
        ("{keypoints: {type: vitpose, flip: true}}", "unknown option 'flip'; did you mean 'flip_test'"),
        ("{keypoints: {type: vitpose, precision: fp16}}", "expected one of"),
        ("{tracker: none}", "unknown option 'tracker'"),
    ):
        path.write_text(f"front_end: {text}\n")
        with pytest.raises(ConfigError, match=message):
            load_config(str(path))


@pytest.mark.parametrize("ready", BEST_FIRST)
def test_auto_takes_the_best_that_is_whole_and_says_why(
    ready: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usable = {load_config(name).front_end: name for name in BEST_FIRST[BEST_FIRST.index(ready) :]}
    monkeypatch.setattr(choosing, "missing_parts", lambda part: [] if part in usable else ["weights of gold"])
    with caplog.at_level(logging.INFO, "mocap_video"):
        config = load_config("auto")
    assert config.name == ready
    assert config.front_end == load_config(ready).front_end
    assert config.reason in caplog.text
    assert config.reason.count("weights of gold") == BEST_FIRST.index(ready)


def test_auto_is_the_embedded_one_where_nothing_was_fetched() -> None:
    config = load_config("auto")
    assert config.name == "embedded"
    assert "vitpose lacks" in config.reason
    assert "weights vitpose-b-hf" in config.reason


def test_the_base_install_works_without_the_extras() -> None:
    """In a process that cannot find them, every module imports, ``auto`` is the default, and errors name the extra."""
    code = """
import importlib, importlib.machinery, pkgutil, sys
EXTRAS = {"mmcv", "mmdet", "mmpose", "mmpretrain", "transformers", "torchvision", "pycocotools", "xtcocotools", "smplx"}
class Base(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in EXTRAS else super().find_spec(name, path, target)
sys.meta_path[:] = [Base if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
import mocap_video
for module in pkgutil.walk_packages(mocap_video.__path__, "mocap_video."):
    importlib.import_module(module.name)
from mocap_video.errors import MissingExtra
from mocap_video.detectors.front_end import build_front_end
from mocap_video.pipeline.config import load_config
assert load_config("auto").name == "embedded"
assert build_front_end(load_config("auto").front_end).name == "blazepose-heavy"
for name in ("vitpose", "vitpose-hf"):
    try:
        build_front_end(load_config(name).front_end)
    except MissingExtra as error:
        print(error)
assert not EXTRAS & {name.split(".")[0] for name in sys.modules}
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    openmmlab, hf = done.stdout.splitlines()
    assert "pip install 'mocap-video[openmmlab]' && pip install --no-deps mmpose==" in openmmlab
    assert "pip install 'mocap-video[hf]'" in hf
