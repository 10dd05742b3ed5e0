"""Training as a job for a machine without a network: everything in one folder, run in slices that resume.

The folder holds the code as it runs here, prepared motion, configurations and a list of wheels; ``run.sh`` installs
what is missing, trains for some minutes and leaves what the next slice begins with as shards.
"""

from __future__ import annotations

import re
import shutil
import time
from importlib import metadata, resources
from pathlib import Path

from mocap_video.errors import ConfigError
from mocap_video.pipeline.shards import join_files, split_files
from mocap_video.pipeline.training import configured, export, training_file

STAGES = ("stage1", "stage2")
SHARDS = "shards"
_PACKAGES = ("calib", "configs", "detectors", "lifter", "pipeline", "render")
_LEFT_OUT = ("models", "pages", "__pycache__")
_TRAINING = "mocap-video"

_RUN = """#!/bin/sh
# Trains for MINUTES (9) minutes and leaves shards/; run it again, with the shards in place, until it says: finished.
set -e
cd "$(dirname "$0")"
if [ -d wheels ] && [ ! -d env ]; then
    python3 -m venv --system-site-packages env
    env/bin/python -m pip install --no-index --find-links wheels -r requirements.txt
fi
python=python3
[ -x env/bin/python ] && python=env/bin/python
export PYTHONPATH="$PWD/code${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -c 'from mocap_video.pipeline.cli import main; main(prog_name="mocap-video")' \\
    train slice . --minutes "${MINUTES:-9}"
"""
_WHEELS = """#!/bin/sh
# Fetches the wheels into wheels/, on a machine with a network and of the same system and Python as the other.
set -e
cd "$(dirname "$0")"
python3 -m pip download --only-binary :all: -d wheels -r requirements.txt
"""


def pack(
    output: Path,
    bank: Path,
    *,
    validation: Path | None = None,
    pretrain: str = "coco17_pretrain",
    finetune: str = "coco17_finetune",
    tracks: tuple[Path, ...] = (),
) -> None:
    """Write the job to ``output``. Raises ``ConfigError`` where that holds something already, or a config is wrong."""
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output}: holds files already; pack a job into an empty folder")
    configured(pretrain, bank, output, validation=validation, tracks=tracks)
    configured(finetune, bank, output, validation=validation)
    output.mkdir(parents=True, exist_ok=True)
    for name, config in zip(STAGES, (pretrain, finetune), strict=True):
        shutil.copyfile(training_file(config), output / f"{name}.py")
    shutil.copyfile(bank, output / "bank.safetensors")
    if validation is not None:
        shutil.copyfile(validation, output / "validation.safetensors")
    for number, track in enumerate(tracks):
        shutil.copyfile(track, output / f"tracks{number}.safetensors")
    _copy_code(output / "code")
    (output / "requirements.txt").write_text("\n".join(requirements()) + "\n", encoding="utf-8")
    for name, text in (("run.sh", _RUN), ("get_wheels.sh", _WHEELS)):
        (output / name).write_text(text, encoding="utf-8")
        (output / name).chmod(0o755)


def run_slice(job: Path, seconds: float, shards: Path | None = None) -> bool:
    """Go on with the job's stages for ``seconds`` s at least a step, and write ``shards``; return whether all is done.

    It begins where the shards say, or with what an earlier slice left in the folder. The finished weights are
    ``runs/stage2/weights.safetensors``, in the shards too.
    """
    from mocap_video.lifter.training import build_runner

    deadline, runs = time.monotonic() + seconds, job / "runs"
    shards = job / SHARDS if shards is None else shards
    for path in join_files(shards, runs):
        if path.suffix == ".pth":
            (path.parent / "last_checkpoint").write_text(str(path), encoding="utf-8")
    kept: list[Path] = []
    finished = False
    for name in STAGES:
        config = _stage(job, name, kept[-1] if kept else None)
        weights = config.work_dir / "weights.safetensors"
        if not weights.is_file():
            runner = build_runner(config, deadline=deadline)
            runner.train()
            if runner.iter >= config.steps:
                export(config.work_dir, weights)
        finished = weights.is_file()
        kept.append(weights if finished else _latest(config.work_dir))
        if not finished:
            break
    split_files(runs, kept, shards)
    return finished


def _stage(job: Path, name: str, start_from: Path | None):  # noqa: ANN202 - TrainConfig needs torch to be imported
    validation = job / "validation.safetensors"
    return configured(
        str(job / f"{name}.py"),
        job / "bank.safetensors",
        job / "runs" / name,
        start_from=start_from,
        validation=validation if validation.is_file() else None,
        tracks=tuple(sorted(job.glob("tracks*.safetensors"))) if name == STAGES[0] else (),
    )


def _latest(work_dir: Path) -> Path:
    return Path((work_dir / "last_checkpoint").read_text(encoding="utf-8").strip())


def _copy_code(output: Path) -> None:
    """Copy the package as it is imported here, without models and pages."""
    for name in ("mocap_video", *(f"mocap_video.{part}" for part in _PACKAGES)):
        source = Path(str(resources.files(name)))
        target = output / name.replace(".", "/")
        shutil.copytree(
            source,
            target,
            dirs_exist_ok=True,
            ignore=lambda folder, names: [
                entry for entry in names if entry in _LEFT_OUT or (Path(folder) / entry).is_symlink()
            ],
        )


def requirements() -> list[str]:
    """Return what this program needs, as installed here: ``name==version``, without local parts such as ``+cpu``."""
    found: dict[str, str] = {}
    waiting = [_TRAINING]
    while waiting:
        name = waiting.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # asked for by another system or Python only
            continue
        for line in distribution.requires or []:
            wanted, _, marker = line.partition(";")
            needed = re.match(r"[A-Za-z0-9._-]+", wanted.strip())
            if needed and "extra" not in marker and needed[0].lower() not in found:
                found[needed[0].lower()] = ""
                waiting.append(needed[0])
        if name != _TRAINING:
            found[name.lower()] = distribution.version.partition("+")[0]
    return sorted(f"{name}=={version}" for name, version in found.items() if version)
