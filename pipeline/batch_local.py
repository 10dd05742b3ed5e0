"""Workers on this machine: each clip in a process of its own, so a crash, a hang or a lack of memory stays there."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from mocap_video.artifacts import storage_errors
from mocap_video.errors import StorageError
from mocap_video.pipeline.batch_job import LOG, Ending, Job, Sign, Tell
from mocap_video.pipeline.batch_worker import read_message, write_job
from mocap_video.pipeline.remote_files import is_url

# Neither the current folder nor a module of the user's in it may stand in for ours.
_CODE = "import sys; sys.path = [p for p in sys.path if p]; from mocap_video.pipeline.batch_worker import main; main()"

_LOOK_EVERY_S = 0.2
_STOP_PATIENCE_S = 10.0
"""So long a worker may take to stop cleanly before it is killed (seconds)."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Return how many clips to run at once: one for every four cores, as much as one clip keeps busy."""
    return max(1, usable_cores() // 4)


def thread_limits(threads: int) -> dict[str, str]:
    """Return the environment that gives a worker ``threads`` threads; what the user set stays."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    limits = {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE"}
    return {name: os.environ.get(name, value) for name, value in limits.items()}


class LocalWorkers:
    """``slots`` clips at once, each in a new process with its share of the cores."""

    def __init__(self, workers: int | None = None) -> None:
        self.slots = workers or default_workers()
        self.retries = 0
        self._environment = {**os.environ, **thread_limits(max(1, usable_cores() // self.slots))}

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing runs any more: each process ended with its job."""

    def run(self, job: Job, slot: int, tell: Tell, stop: threading.Event) -> Ending:  # noqa: ARG002 - all slots are alike
        """Run ``job`` to its end, or kill it at its time limit; ``stop`` asks it to end now."""
        try:
            with self._log(job) as log:
                process = self._start(job, log)
                with process:
                    tell(Sign("start", worker=f"process {process.pid}"))
                    return _Watch(process, job.timeout_s, tell, stop).ending()
        except StorageError as error:
            return Ending(error.exit_code, str(error))
        except OSError as error:
            return Ending(None, f"its process could not be started ({error})", elsewhere=True)

    def _start(self, job: Job, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _CODE, write_job(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=self._environment,
            start_new_session=True,  # Ctrl-C comes to us alone, and we pass it on
        )

    @staticmethod
    @contextlib.contextmanager
    def _log(job: Job) -> Iterator[IO[bytes] | int]:
        if is_url(job.output):
            yield subprocess.DEVNULL
            return
        path = Path(job.output) / LOG
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("wb")
        with stream:
            yield stream


class _Watch:
    """Follows a worker until it has ended."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float, tell: Tell, stop: threading.Event) -> None:
        self._process = process
        self._timeout_s = timeout_s
        self._tell = tell
        self._stop = stop
        self._stage = "start"

    def ending(self) -> Ending:
        """Return how the worker ended; it has, whatever happens here."""
        try:
            told = self._follow()
        finally:
            self._kill()
        return told or _explain(self._process.returncode, self._stage)

    def _follow(self) -> Ending | None:
        """Return what the worker tells of its end, or why it may not go on; None where it died."""
        assert self._process.stdout is not None
        deadline, pending = time.monotonic() + self._timeout_s, b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not self._stop.is_set():
                if time.monotonic() > deadline:
                    return Ending(None, f"took longer than {self._timeout_s:g} s (--timeout), in stage {self._stage!r}")
                if not selector.select(_LOOK_EVERY_S):
                    continue
                more = os.read(self._process.stdout.fileno(), 65536)
                *lines, pending = (pending + more).split(b"\n")
                for line in lines:
                    message = read_message(line)
                    if isinstance(message, Ending):
                        return message
                    self._stage = message.stage
                    self._tell(message)
                if not more:
                    return self._wait_for_death()
        self._ask_to_stop()
        return Ending(None, "stopped")

    def _wait_for_death(self) -> Ending | None:
        """Wait for a process that has closed its end; its number stays its own, so that its group can be killed."""
        deadline = time.monotonic() + _STOP_PATIENCE_S
        while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > deadline:
                return Ending(None, f"stopped answering in stage {self._stage!r}; see {LOG}", elsewhere=True)
            time.sleep(_LOOK_EVERY_S / 10)
        return None

    def _ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_PATIENCE_S)

    def _kill(self) -> None:
        """Kill what is left of the worker's process group, then let go of its number."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _explain(code: int, stage: str) -> Ending:
    """Return the ending of a process that told none."""
    if code == -signal.SIGKILL:
        reason = (
            f"killed in stage {stage!r} (SIGKILL): most often by the system when memory runs out; use fewer --workers"
        )
        return Ending(None, reason, elsewhere=True)
    if code < 0:
        return Ending(None, f"crashed in stage {stage!r} ({signal.Signals(-code).name}); see {LOG}", elsewhere=True)
    return Ending(code, f"ended without a result in stage {stage!r} (exit code {code}); see {LOG}", elsewhere=True)
