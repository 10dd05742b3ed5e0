"""Workers on a Ray cluster: the one place that imports Ray. An actor for each GPU keeps its models between clips."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from mocap_video.artifacts import storage_errors
from mocap_video.errors import ClusterError, StorageError
from mocap_video.kept import models_kept
from mocap_video.optional import require
from mocap_video.pipeline.batch_job import LOG, Ending, Job, RelayedProgress, Sign, Tell, perform
from mocap_video.pipeline.batch_local import thread_limits, usable_cores
from mocap_video.pipeline.remote_files import is_url

LOCAL = "local"
CORES_EACH = 4
"""Cores of a worker without a GPU, where ``--workers`` does not say otherwise."""

_LOOK_EVERY_S = 0.3


def _knock(address: str) -> None:
    """Raise ``ClusterError`` at once where nothing listens at ``HOST:PORT``; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"--ray {address}: no Ray cluster answers ({error}). Start one with `ray start --head`, or use "
            f"--ray {LOCAL}."
        ) from error


class RayWorkers:
    """``with RayWorkers(address) as workers: ...``: a worker for each GPU of the cluster, or for each four cores.

    ``address`` as of ``ray.init``, or ``local``: a cluster on this machine that ends with the block.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours calls home unasked
        self._ray: Any = require("ray", "ray")
        self._address, self._wanted = address, workers
        self._actors: dict[int, Any] = {}
        self.slots = 0
        self.retries = 2

    def __enter__(self) -> RayWorkers:
        _knock(self._address)
        local = {"num_cpus": max(usable_cores(), self._wanted or 1)} if self._address == LOCAL else {}
        try:
            self._ray.init(self._address, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False,
                           **local)  # fmt: skip
        except Exception as error:  # Ray raises the bare class where a node does not start in time
            self._ray.shutdown()
            advice = "See whether the machine is busy, and its logs in /tmp/ray." if local else (
                f"Start one with `ray start --head`, or use --ray {LOCAL}."
            )  # fmt: skip
            raise ClusterError(f"--ray {self._address}: no Ray cluster answers ({error}). {advice}") from error
        found = self._ray.cluster_resources()
        gpus, cores = int(found.get("GPU", 0)), int(found.get("CPU", 1))
        self.slots = self._wanted or gpus or max(1, cores // CORES_EACH)
        self._share = {"num_cpus": max(1, cores // self.slots), "num_gpus": 1 if gpus >= self.slots else 0}
        self._board = self._ray.remote(_Board).options(num_cpus=0).remote()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for slot in list(self._actors):
            self._discard(slot)
        self._ray.shutdown()

    def run(self, job: Job, slot: int, tell: Tell, stop: threading.Event) -> Ending:
        """Run ``job`` on the actor of ``slot``; an actor that is lost, or had to be stopped, is replaced."""
        actor = self._actor(slot)
        running = actor.perform.remote(job, slot)
        deadline = time.monotonic() + job.timeout_s
        tell(Sign("start"))
        while not self._ray.wait([running], timeout=_LOOK_EVERY_S)[0]:
            self._pass_on(slot, tell)
            if stop.is_set() or time.monotonic() > deadline:
                self._discard(slot)
                return Ending(None, "stopped" if stop.is_set() else f"took longer than {job.timeout_s:g} s (--timeout)")
        self._pass_on(slot, tell)
        try:
            return self._ray.get(running)
        except self._ray.exceptions.RayError as error:
            self._discard(slot)
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            reason = f"its worker was lost ({type(error).__name__}: {first}); see {LOG}, and whether memory ran out"
            return Ending(None, reason, elsewhere=True)

    def _actor(self, slot: int) -> Any:
        if slot not in self._actors:
            options = {**self._share, "runtime_env": {"env_vars": thread_limits(self._share["num_cpus"])}}
            self._actors[slot] = self._ray.remote(_ClipWorker).options(**options).remote(self._board)
        return self._actors[slot]

    def _discard(self, slot: int) -> None:
        actor = self._actors.pop(slot, None)
        if actor is not None:
            self._ray.kill(actor)

    def _pass_on(self, slot: int, tell: Tell) -> None:
        """Tell what the worker of ``slot`` has put on the board, unless that takes long."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            sign = self._ray.get(self._board.take.remote(slot), timeout=_LOOK_EVERY_S)
            if sign is not None:
                tell(sign)


class _Board:
    """Where workers leave their last sign of life, by slot."""

    def __init__(self) -> None:
        self._signs: dict[int, Sign] = {}

    def put(self, slot: int, sign: Sign) -> None:
        """Leave a sign."""
        self._signs[slot] = sign

    def take(self, slot: int) -> Sign | None:
        """Return the last sign that was not yet taken."""
        return self._signs.pop(slot, None)


class _ClipWorker:
    """An actor that runs clip after clip and keeps its models loaded."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self._models = models_kept()
        self._models.__enter__()  # as long as the actor lives
        logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)

    def perform(self, job: Job, slot: int) -> Ending:
        """Run ``job``, what it says going to its log."""
        worker = f"{socket.gethostname()} process {os.getpid()}"

        def tell(sign: Sign) -> None:
            self._board.put.remote(slot, dataclasses.replace(sign, worker=worker))

        tell(Sign("start"))
        try:
            with _logged(job):
                ending = perform(job, RelayedProgress(tell))
                if ending.reason:
                    sys.stderr.write(f"error: {ending.reason}\n")
                return ending
        except StorageError as error:
            return Ending(error.exit_code, str(error), elsewhere=True)


@contextlib.contextmanager
def _logged(job: Job) -> Iterator[None]:
    """Send what this process says, libraries included, to the clip's log until the block ends."""
    if is_url(job.output):
        yield
        return
    path = Path(job.output) / LOG
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("wb")
    usual = os.dup(2)
    try:
        with log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(usual, 2)
        os.close(usual)
