"""What tools/fuzz.py damages and how: small files of every kind that is read, clips, and the faults put into them."""

from __future__ import annotations

import copy
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SMALL = ("cam.yaml", "site.yaml", "lift npz", "people npz", "store entry", "manifest")
READ = "read"
TOKENS = (
    b".nan", b".inf", b"-.inf", b"1e999", b"-1", b"0", b"1e-320", b"null", b"~", b"[]", b"{}", b"[[]]", b"true",
    b"!!int", b"!!python/object:os.system", b"&a", b"*a", b"<<: *a", b"'", b'"', b": ", b"- ", b"\t", b"\n", b"---",
    b"0x10", b"1_0", b"2024-01-01", b"2024-13-77", b"9" * 400, b"\xff", b"\0", "\u202eé".encode(), b"%YAML",
    b"? ", b"|", b">", b"#",
)  # fmt: skip
NODES = (
    None, True, False, 0, -1, 1e999, -1e999, float("nan"), 1e-320, 10**400, "", " ", "nan", "\u202e<script>",
    "x" * 9999, [], {}, [[]], [None], {"": ""}, [1, 2, 3], "../../etc", "\\", "/", "s3://", "*", "file://",
)  # fmt: skip
VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-300, 1e308, -1e308, 2.0**63)


@dataclass(frozen=True)
class Subject:
    """A kind of file: whole ``examples`` of it under ``suffix``, and the function that reads one."""

    examples: list[bytes]
    suffix: str
    read: Callable[[Path], object]


Fault = Callable[[bytes, np.random.Generator], bytes]


# --- damage ---------------------------------------------------------------------------------------------------------


def damaged(content: bytes, rng: np.random.Generator, kind: str) -> bytes:
    """Return ``content`` with a few faults: of the bytes in half of the cases, of what they mean in the others."""
    faults: list[Fault] = [truncate, flip_bits, zero_run, cut_out, repeat_part, put_noise]
    meaningful: list[Fault] = []
    if kind.endswith("yaml"):
        meaningful = [change_node, change_node, change_node, put_token]
    if kind.endswith("npz") or kind == "store entry":
        meaningful = [change_values]
    if meaningful and rng.random() < 0.5:
        faults = meaningful
    for _ in range(int(rng.integers(1, 4))):
        content = faults[rng.integers(len(faults))](content, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(0, max(1, len(content))))


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if content else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def zero_run(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 64))
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


def cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + int(rng.integers(1, 64)) :]


def repeat_part(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    part = content[start : start + int(rng.integers(1, 256))]
    return content[:start] + part + content[start:]


def put_noise(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    return content[:start] + rng.bytes(int(rng.integers(1, 16))) + content[start:]


def put_token(content: bytes, rng: np.random.Generator) -> bytes:
    """Put something that YAML has a meaning for in the place of a word or between two."""
    words = content.split(b" ")
    at = int(rng.integers(len(words)))
    words[at : at + int(rng.integers(0, 2))] = [TOKENS[rng.integers(len(TOKENS))]]
    return b" ".join(words)


def change_node(content: bytes, rng: np.random.Generator) -> bytes:
    """Write the YAML anew with one value, key or list changed; as it is if it is no YAML."""
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError):
        return content
    nodes = list(_nodes(document))
    if not nodes:
        return content
    holder, key = nodes[rng.integers(len(nodes))]
    other = nodes[rng.integers(len(nodes))]
    number = int(rng.integers(6))
    if number == 0:
        del holder[key]
    elif number == 1:
        holder[key] = copy.deepcopy(other[0][other[1]])
    elif number == 2 and isinstance(holder, dict):
        holder[str(key)[: int(rng.integers(0, len(str(key)) + 1))]] = holder.pop(key)
    elif number == 3 and isinstance(holder[key], float | int):
        holder[key] = holder[key] * float(rng.choice([-1, 0, 1e-9, 0.5, 2, 90, 1e9, 1e300]))
    elif number == 4:
        holder[key] = [holder[key]] * int(rng.integers(0, 4))
    else:
        holder[key] = NODES[rng.integers(len(NODES))]
    return yaml.safe_dump(document, default_flow_style=None, width=120, allow_unicode=True).encode()


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a document as the mapping or list and the key in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _nodes(value[key])


def change_values(content: bytes, rng: np.random.Generator) -> bytes:
    """Write the npz anew with values, a shape, a type or names that do not belong there; as it is if it is no npz."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except Exception:  # noqa: BLE001 - already damaged
        return content
    name = list(arrays)[rng.integers(len(arrays))] if arrays else ""
    if name:
        arrays[name] = _changed(arrays[name], rng)
        if arrays[name] is None:
            del arrays[name]
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _changed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    number = int(rng.integers(9))
    if number == 0:
        return None
    if number == 1:
        return array[:0] if array.ndim else array.reshape(1)
    if number == 2:
        return array[..., None]
    if number == 3:
        return array.reshape(-1)
    if number == 4:
        return array.astype(str)
    if number == 5:
        return array.astype(object)
    if number == 6 and array.ndim:
        return np.concatenate([array, array])
    if number == 7 and array.dtype.kind in "fiu":
        return array.astype(["f4", "i8", "c16", "u1", ">f8"][rng.integers(5)], casting="unsafe")
    changed = np.array(array)
    if changed.dtype.kind in "fi" and changed.size:
        picked = rng.integers(0, changed.size, int(rng.integers(1, 9)))
        value = VALUES[rng.integers(len(VALUES))]
        with np.errstate(all="ignore"):
            changed.reshape(-1)[picked] = np.asarray(value).astype(changed.dtype)
    return changed


# --- what is read ---------------------------------------------------------------------------------------------------


def subject_of(kind: str, work: Path) -> Subject:
    """Return the files of ``kind`` to damage, and what reads them; ``work`` is a folder for what that needs."""
    makers = {
        "cam.yaml": _cam_yaml,
        "site.yaml": _site_yaml,
        "lift npz": _lift_npz,
        "people npz": _people_npz,
        "store entry": _store_entry,
        "manifest": _manifest,
    }
    return makers[kind](work)


def _cam_yaml(work: Path) -> Subject:
    from mocap_video.calib.files import read_calibration, write_calibration
    from mocap_video.pipeline.demo import demo_calibration

    write_calibration(demo_calibration(), work / "demo.yaml")
    mount = (
        b"version: 1\nimage_size: [1920, 1080]\nintrinsics: {hfov_deg: 68}\ndistortion: {model: fisheye, "
        b"coeffs: [0.01, 0.0, 0.0, 0.0]}\nextrinsics:\n  mount: {height_m: 3.2, tilt_down_deg: 24, roll_deg: 0.5}\n"
    )
    plane = (work / "demo.yaml").read_bytes().replace(b"up: z, ground: 0.0", b"ground_plane: [0, 0, 1, 0]")
    return Subject([(work / "demo.yaml").read_bytes(), mount, plane], ".yaml", read_calibration)


def _site_yaml(work: Path) -> Subject:
    from PIL import Image

    from mocap_video.pipeline.site import read_site

    Image.new("RGB", (8, 8)).save(work / "plan.png")
    text = f"""version: 1
name: yard
cameras:
  - {{name: deck, calib: deck.yaml, recordings: ["/data/deck/*.mp4"], options: {{people: [1, 3], height: 1.8}}}}
  - name: gate
    calib: gate.yaml
    recordings: [gate/**/*.mp4, "s3://bucket/*.mp4"]
floor_plan: {{image: {work / "plan.png"}, metres_per_pixel: 0.02, origin_px: [412, 880], x_axis_deg: 0}}
zones:
  - {{name: queue, polygon: [[0, 0], [4, 0], [4, 2]]}}
ground_axes: [x, y]
"""
    return Subject([text.encode()], ".yaml", read_site)


def _motion(rng: np.random.Generator, frames: int = 12) -> dict[str, Any]:
    """Return the arrays of a person who stands before the demo's camera."""
    xy = np.array([640.0, 360.0]) + rng.normal(0, 60, (frames, 17, 2))
    keypoints = np.concatenate([xy, rng.uniform(0.3, 1, (frames, 17, 1))], -1)
    return {"keypoints2d": keypoints, "time_s": np.arange(frames) / 25, "frame": np.arange(frames)}


def _lift_npz(work: Path) -> Subject:
    from mocap_video.calib.files import read_calibration, write_calibration
    from mocap_video.detectors.files.identity import people_of
    from mocap_video.pipeline.demo import demo_calibration
    from mocap_video.pipeline.lift2d import KeypointSource, check_in_image, read_source

    write_calibration(demo_calibration(), work / "cam.yaml")
    calibration = read_calibration(work / "cam.yaml")

    def read(path: Path) -> object:
        people = people_of(read_source(KeypointSource(path)), calibration, None)
        for person in people:
            check_in_image(path, person, calibration.camera.size)
        return people

    arrays = _motion(np.random.default_rng(1))
    return Subject([_npz(arrays), _npz({**arrays, "skeleton": "coco17"}, compressed=True)], ".npz", read)


def _npz(arrays: dict[str, Any], *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def _people_npz(work: Path) -> Subject:
    from mocap_video.pipeline.formats.base import Take
    from mocap_video.pipeline.formats.joints_csv import write_joints_csv
    from mocap_video.pipeline.results import read_person

    rng, frames = np.random.default_rng(2), 12
    motion = _motion(rng, frames)
    arrays = {
        "frame": motion["frame"], "time_s": motion["time_s"], "seen": np.ones(frames, bool),
        "keypoints2d": motion["keypoints2d"], "joints_world": rng.normal(size=(frames, 17, 3)),
        "spread_m": np.full((frames, 17), 0.05), "smpl_joints_world": rng.normal(size=(frames, 24, 3)),
        "poses": rng.normal(size=(frames, 72)), "betas": np.zeros(10), "trans": np.zeros((frames, 3)),
        "gender": "neutral", "mocap_framerate": 25.0, "body_model": "body 0", "residual_m": np.zeros(frames),
    }  # fmt: skip

    def read(path: Path) -> object:
        return write_joints_csv(Take(1, read_person(path), path, np.array([0.0, 0.0, 1.0])), work / "001.csv")

    return Subject([_npz(arrays), _npz(arrays, compressed=True)], ".npz", read)


def _store_entry(work: Path) -> Subject:
    from mocap_video.artifacts import Store

    arrays = _motion(np.random.default_rng(3))
    store = Store(work / "store")
    store.put_arrays("people", "key", arrays)
    whole = store.path_of("people", "key").read_bytes()

    def read(path: Path) -> object:
        target = store.path_of("people", "key")
        shutil.copy(path, target)
        found = store.get_arrays("people", "key")
        if found is not None and any(not np.array_equal(found[name], arrays[name]) for name in arrays):
            raise AssertionError("a damaged entry was taken for a whole one")
        return "absent" if found is None else READ

    return Subject([whole], ".npz", read)


def _manifest(work: Path) -> Subject:
    from mocap_video.pipeline.manifest import FILE, Entry, Manifest

    (work / "whole").mkdir()
    with Manifest(work / "whole") as manifest:
        manifest.put(*(Entry("deck", f"{i:03d}", f"/data/{i}.mp4", f"/out/{i}") for i in range(40)))

    def read(path: Path) -> object:
        folder = Path(tempfile.mkdtemp(dir=work))
        shutil.copy(path, folder / FILE)
        try:
            with Manifest(folder) as manifest:
                entries = manifest.entries()
                manifest.put(*entries.values())
        finally:
            shutil.rmtree(folder)
        return entries

    return Subject([(work / "whole" / FILE).read_bytes()], ".sqlite", read)


def decode(path: Path) -> int:
    """Read a clip as `run` does: its times, every picture in colour, and every picture as stored."""
    from mocap_video.pipeline.video import probe, read_frames, read_stored_frames

    video = probe(path)
    frames = [frame.index for frame in read_frames(path)]
    stored = [frame.index for frame in read_stored_frames(path)]
    if frames != stored or (frames and not 0 <= frames[0] <= frames[-1] < len(video)):
        raise AssertionError(f"frames {frames[:3]}... of {len(video)} and stored ones {stored[:3]}... disagree")
    return len(frames)


def run_whole(path: Path, calib: Path, work: Path) -> str:
    """Send a clip through `run` into a folder that holds earlier results; return how it ended."""
    from mocap_video.pipeline.batch_job import Job, perform
    from mocap_video.pipeline.progress import SilentProgress

    output = Path(tempfile.mkdtemp(dir=work))
    (output / "people.csv").write_text("earlier results")
    ending = perform(Job(str(path), str(calib), str(output), ("--samples=1",)), SilentProgress())
    if ending.exit_code in (1, None):
        raise AssertionError(ending.reason)
    kept = (output / "people.csv").read_text() == "earlier results"
    if not kept and not (output / "report.json").is_file():
        raise AssertionError("earlier results were overwritten by none")
    shutil.rmtree(output)
    return {0: "finished", 2: "ConfigError", 4: "exit 4"}.get(
        ending.exit_code, "finished, nobody in it" if ending.nobody else "VideoError or CalibrationError"
    )


def case(kind: str, number: int, seed: int, examples: list[bytes]) -> bytes:
    """Return the content of a case."""
    rng = np.random.default_rng([seed, number, zlib.crc32(kind.encode())])
    return damaged(examples[number % len(examples)], rng, kind)


def short_clip(source: Path | None, target: Path, frames: int = 8) -> str:
    """Write the first ``frames`` of ``source`` to ``target`` as stored, or a drawn clip where there is none."""
    import av

    from mocap_video.pipeline.video import VideoWriter

    if source is None:
        with VideoWriter(target, (640, 360)) as writer:
            for number in range(frames):
                picture = np.full((360, 640, 3), 90, np.uint8)
                picture[100:300, 20 * number : 20 * number + 80] = (200, 150, 100)
                writer.write(picture, number / 25)
        return "a drawn clip"
    with av.open(str(source)) as container, av.open(str(target), "w", options={"movflags": "+faststart"}) as short:
        stream = container.streams.video[0]
        copy = short.add_stream_from_template(stream)
        for number, packet in enumerate(container.demux(stream)):
            if packet.dts is None or number >= frames:
                break
            packet.stream = copy
            short.mux(packet)
    return f"the first {frames} frames of {source.name}, as they are stored"
