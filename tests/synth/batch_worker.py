"""A worker process of ``batch`` that takes no models: it holds the folder's lock and writes a report, as ``run`` does.

What the clip says is what it does: ``sleep S``, ``kill``, ``crash``, ``quit``, ``fail WHY``, ``fork S``, ``fill KB``
(in finished pieces); anything else ends well. ``code()`` is what ``batch_local`` starts instead of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mocap_video.artifacts import RunLock, Store, atomic_write
from mocap_video.errors import VideoError
from mocap_video.pipeline import batch_job, batch_worker
from mocap_video.pipeline.batch_job import Job
from mocap_video.pipeline.progress import Progress


def code() -> str:
    """Return the program to give to Python with ``-c``."""
    tests = str(Path(__file__).parents[1])
    return f"import sys; sys.path = [{tests!r}, *sys.path]; from synth.batch_worker import main; main()"


def main() -> None:
    """Run as ``batch_worker`` does, on a pretended ``run``."""
    batch_job._run_when_free = _pretend
    batch_worker.main()


def _pretend(words: list[str], progress: Progress) -> None:
    clip, output = Path(words[1]), Path(words[3].partition("=")[2])
    order, _, rest = clip.read_text(errors="replace").partition(" ")
    while True:
        try:
            with RunLock(output), progress.stage("people", 10) as advance:
                advance(1)
                _obey(order, rest, output)
                with atomic_write(output / "report.json") as partial:
                    partial.write_text('{"provenance": {"inputs": {"clip": "digest"}}}')
            break
        except batch_job.InUseError:
            time.sleep(0.1)


def _obey(order: str, rest: str, output: Path) -> None:
    if order == "sleep":
        time.sleep(float(rest))
    elif order in ("kill", "crash"):
        os.kill(os.getpid(), signal.SIGKILL if order == "kill" else signal.SIGSEGV)
    elif order == "quit":
        os._exit(7)
    elif order == "fork":
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({rest})"])
        time.sleep(float(rest))
    elif order == "fill":
        for number in range(int(rest) // 16):
            Store(output / ".cache").put_arrays("people", str(number), {"noise": np.zeros(2000)})
    elif order == "fail":
        raise VideoError(rest)


def job_of(clip: Path, output: Path, timeout_s: float = 86_400.0) -> Job:
    """Return a job for ``clip``."""
    return Job(str(clip), "cam.yaml", str(output), timeout_s=timeout_s)


def living_in_group(group: int) -> list[int]:
    """Return the processes of a group that live; one that has ended and that nobody waited for does not."""
    living = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            living.append(int(stat.parent.name))
    return living
