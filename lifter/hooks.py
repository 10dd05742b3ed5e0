"""What our training adds to mmengine's Runner: the rate of a step, what a run is, and a clean stop on time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import broadcast
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mocap_video.errors import ConfigError

_RECENT = 100
"""Values of each logged scalar that are kept: mmengine copies the whole history at every step."""


@dataclass(frozen=True)
class RateSchedule:
    """The learning rate: a linear warm-up to ``rate``, then half a cosine down to a fiftieth of it at ``steps``."""

    rate: float
    warmup: int
    steps: int

    def at(self, step: int) -> float:
        """Return the rate of ``step``, counted from 0: of its number alone, so a resumed run may end elsewhere."""
        if step < self.warmup:
            return self.rate * (0.01 + 0.99 * step / self.warmup)
        along = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.rate * (0.02 + 0.49 * (1 + math.cos(math.pi * along)))


class RateHook(Hook):
    """Sets the learning rate of every step."""

    priority = "HIGHEST"  # before the log takes it down

    def __init__(self, schedule: RateSchedule) -> None:
        self._schedule = schedule

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:  # noqa: ARG002
        """Set the rate of this step."""
        assert isinstance(runner.optim_wrapper, OptimWrapper)
        for group in runner.optim_wrapper.param_groups:
            group["lr"] = self._schedule.at(runner.iter)


class RunRecordHook(Hook):
    """Writes what a run is into its checkpoints, and refuses to resume as another one.

    ``record``: the run's configuration; values of the names in ``free`` may change when it is resumed.
    """

    priority = "VERY_LOW"

    def __init__(self, record: Mapping[str, Any], free: frozenset[str]) -> None:
        self._record = json.dumps(record)
        self._free = free

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Add the record."""
        checkpoint["meta"]["training"] = self._record

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the records. Raises ``ConfigError`` where they disagree."""
        begun, now = json.loads(checkpoint["meta"].get("training", "{}")), json.loads(self._record)
        changed = [
            f"{name} was {begun[name]!r} and is now {now[name]!r}"
            for name in now
            if name in begun and name not in self._free and begun[name] != now[name]
        ]
        if changed:
            raise ConfigError(
                f"{runner.work_dir}: holds a training run of another configuration: {'; '.join(changed)}. "
                f"A run that has begun may only change {', '.join(sorted(self._free))}: "
                "take the old values, or an empty folder."
            )

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Forget log values that no line of the log will use again."""
        if self.every_n_train_iters(runner, _RECENT):
            scalars = runner.message_hub.log_scalars
            for name, buffer in scalars.items():
                values, counts = buffer.data
                scalars[name] = HistoryBuffer(values[-_RECENT:], counts[-_RECENT:])


class TimedCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, and a last one when the time is up, after which training stops.

    ``deadline``: a value of ``time.monotonic()``, or None.
    """

    def __init__(self, deadline: float | None, **options: Any) -> None:
        super().__init__(by_epoch=False, **options)
        self._deadline = deadline

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Save where the interval says so; save and stop at the deadline, which the first process calls for all."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)  # type: ignore[arg-type]
        if self._deadline is None:
            return
        late = torch.tensor(float(time.monotonic() >= self._deadline))
        broadcast(late)
        if late:
            if not self.every_n_train_iters(runner, self.interval, self.save_begin):
                self._save_checkpoint(runner)
            runner.train_loop.stop_training = True  # type: ignore[union-attr]
