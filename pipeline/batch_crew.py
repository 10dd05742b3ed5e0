"""Who works on the clips of a batch, and how the work is handed out: what workers anywhere have in common."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from mocap_video.pipeline.batch_job import Ending, Job, Sign, Tell

_LOOK_EVERY_S = 0.25


class Workers(AbstractContextManager["Workers"], Protocol):
    """``slots`` workers, each running one clip at a time. ``retries``: how often a clip whose worker was lost, or
    lacked something, is tried again, on another one where there is one.
    """

    slots: int
    retries: int

    def run(self, job: Job, slot: int, tell: Tell, stop: threading.Event) -> Ending:
        """Run ``job`` on worker ``slot`` and return how it ended, soon after ``stop`` is set in any case."""
        ...


@dataclass
class Task:
    """A job on its way through the crew, known by its ``number``; ``tried``: the slots that it failed on."""

    number: int
    job: Job
    tried: list[int] = field(default_factory=list)


class Foreman(Protocol):
    """Who keeps the books while the crew works; every call comes from the thread that called ``work_off``, but
    ``signed``.
    """

    def begun(self, number: int) -> None:
        """Job ``number`` is handed to a worker."""
        ...

    def signed(self, number: int, sign: Sign) -> None:
        """Job ``number`` gives a sign of life; called from any thread."""
        ...

    def ended(self, number: int, ending: Ending, *, again: bool) -> None:
        """Job ``number`` has ended, ``again``: and will be tried once more."""
        ...

    def waited(self) -> None:
        """Some time has passed."""
        ...


def work_off(jobs: Sequence[Job], workers: Workers, foreman: Foreman) -> None:
    """Run all ``jobs``; whatever stops this, Ctrl-C too, first stops every worker."""
    waiting = deque(Task(number, job) for number, job in enumerate(jobs))
    idle = set(range(workers.slots))
    running: dict[Future[Ending], tuple[Task, int]] = {}
    stop = threading.Event()
    with ThreadPoolExecutor(workers.slots) as threads:
        try:
            while waiting or running:
                while waiting and idle:
                    task, slot = _next(waiting, idle)
                    foreman.begun(task.number)
                    tell = _teller(foreman, task.number)
                    running[threads.submit(workers.run, task.job, slot, tell, stop)] = (task, slot)
                done, _ = wait(running, _LOOK_EVERY_S, FIRST_COMPLETED)
                foreman.waited()
                for future in done:
                    task, slot = running.pop(future)
                    idle.add(slot)
                    ending = future.result()
                    again = ending.elsewhere and len(task.tried) < workers.retries
                    foreman.ended(task.number, ending, again=again)
                    if again:
                        task.tried.append(slot)
                        waiting.append(task)
        except BaseException:
            stop.set()
            raise


def _next(waiting: deque[Task], idle: set[int]) -> tuple[Task, int]:
    """Take the first task and the idle slot that it has failed on least, so another one where there is one."""
    task = waiting.popleft()
    slot = min(idle, key=lambda slot: (task.tried.count(slot), slot))
    idle.remove(slot)
    return task, slot


def _teller(foreman: Foreman, number: int) -> Tell:
    return lambda sign: foreman.signed(number, sign)
