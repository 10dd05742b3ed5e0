"""What a command takes, measured from outside: processor time and memory of a process of its own."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_CODE = "from mocap_video.pipeline.cli import main; main(prog_name='mocap-video')"


@dataclass(frozen=True)
class Usage:
    """``cpu_s`` of processors and the largest resident memory, ``peak_mb`` (10^6 bytes)."""

    cpu_s: float
    peak_mb: float


def run_program(*words: str) -> Usage:
    """Run ``mocap-video`` with ``words`` and return what it took; ``SystemExit`` where its exit code is not 0."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_mb = 0.0
    with subprocess.Popen([sys.executable, "-c", _CODE, *words]) as process:
        while process.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        raise SystemExit(f"mocap-video {' '.join(words)}: ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak_mb)


def _peak_mb(pid: int) -> float:
    """Return the largest resident memory of a process so far; the figure that waiting gives counts its parent in."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)  # none once the process has ended
    return int(found[1]) * 1024 / 1e6 if found else 0.0
