"""Where and in which precision a torch network runs, and how pixels get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

Precision = Literal["fp32", "bf16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Runtime:
    """``device``: cpu or cuda. ``bf16`` is about twice as fast where the processor knows it, and coarser: 3 digits."""

    device: str = "cpu"
    precision: Precision = "fp32"

    def prepare(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return ``network`` ready to run here; convolutions are fastest with the channels last."""
        prepared = network.eval().requires_grad_(requires_grad=False)
        prepared = prepared.to(self.device, _DTYPES[self.precision])
        return prepared.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs

    def pixels(self, images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
        """Return ``(N,C,H,W)`` for a network from ``images (N,H,W,C)`` uint8: less ``mean (C)``, over ``std (C)``."""
        values = torch.from_numpy(images).to(self.device).to(torch.float32)
        scale = torch.tensor(std, device=self.device).reciprocal()
        shift = torch.tensor(mean, device=self.device)
        return values.sub_(shift).mul_(scale).permute(0, 3, 1, 2).to(_DTYPES[self.precision])
