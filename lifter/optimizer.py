"""Optimizers of the lifter: AdamW for everything, or Muon for the blocks' matrices and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from mocap_video.errors import ConfigError
from mocap_video.registry import OPTIMIZERS

_BETAS = (0.9, 0.98)


@OPTIMIZERS.register_module()
class MuonAdamW(Optimizer):
    """Muon (Jordan 2024) for the first group of parameters, which must be matrices, and AdamW for the others.

    Muon's step is scaled to the size of AdamW's (Liu et al. 2025), so one rate and one weight decay serve both.
    """

    def __init__(
        self, params: list[dict[str, Any]], lr: float, weight_decay: float, betas: tuple[float, float] = _BETAS
    ) -> None:
        matrices, *others = params
        self._parts = (
            torch.optim.Muon([matrices], lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            AdamW(others, lr=lr, weight_decay=weight_decay, betas=betas),
        )
        super().__init__([group for part in self._parts for group in part.param_groups], {"lr": lr})
        self._share()

    def _share(self) -> None:
        """Let both parts work on this optimizer's groups and state, which schedules change and checkpoints replace."""
        muon, adamw = self._parts
        muon.param_groups, adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        muon.state = adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state that ``state_dict`` returned."""
        super().load_state_dict(state_dict)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step of both parts."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for part in self._parts:
            part.step()
        return loss


def build_optimizer(model: nn.Module, kind: str, rate: float, weight_decay: float) -> Optimizer:
    """Return the optimizer ``kind``, ``adamw`` or ``muon``, of a ``model`` whose transformer layers are ``blocks``."""
    if kind == "adamw":
        return AdamW(model.parameters(), lr=rate, weight_decay=weight_decay, betas=_BETAS)
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"optimizer 'muon': expected torch 2.9 or newer, got {torch.__version__}; or use 'adamw'.")
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and ".blocks." in f".{name}"
        (matrices if inner else others).append(parameter)
    groups = [{"params": matrices}, {"params": others}]
    return OPTIMIZERS.build(
        {"type": "mocap_video.MuonAdamW", "params": groups, "lr": rate, "weight_decay": weight_decay}
    )
