"""The denoiser: a transformer over frames and views (method 5).

``model(x, step, conditions, memory) -> x0``. One token per view and frame. Each block: self-attention over time within
a view, self-attention across views at one time (starts as zero, so stage 1's weights keep their meaning when stage 2
adds it), cross-attention to the view's own pointmap tokens, feed-forward. Time enters as rotary phases of seconds, so
frame rates may differ and vary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mocap_video.lifter.ablation import PRODUCT, Ablation
from mocap_video.lifter.conditions import CAMERA_FEATURES, FRAME_FEATURES, Conditions
from mocap_video.lifter.diffusion import signal_level
from mocap_video.lifter.views import VIEWS


@dataclass(frozen=True)
class NetworkConfig:
    """Size of the denoiser. ``joints`` J of the keypoint set; ``width`` a multiple of 2 x ``heads``; ``ablation``: what
    it is trained without.
    """

    joints: int = 17
    width: int = 512
    layers: int = 8
    heads: int = 4
    feed_forward: int = 1024
    ablation: Ablation = PRODUCT

    def record(self) -> dict[str, Any]:
        """Return what ``of_record`` reads, as JSON values; an ablation is named only where there is one."""
        values = asdict(self)
        if self.ablation == PRODUCT:
            del values["ablation"]
        return values

    @staticmethod
    def of_record(values: Mapping[str, Any]) -> NetworkConfig:
        """Return the configuration that ``record`` wrote. Raises ``TypeError`` for names that there are not."""
        return NetworkConfig(**{**values, "ablation": Ablation(**values.get("ablation", {}))})


class Attention(nn.Module):
    """Multi-head attention of ``query (N,Q,C)`` to ``memory (N,M,C)``, with optional rotary phases and key mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, memory: Tensor, phase: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """``phase (N,1,T,D/2)`` rad turns queries and keys alike; ``mask (N,1,1,M)`` bool is True where attended."""
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(memory).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if phase is not None:
            q, k = _turn(q, phase), _turn(k, phase)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


def _turn(x: Tensor, phase: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    cosine, sine = torch.cos(phase).to(x.dtype), torch.sin(phase).to(x.dtype)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


class Block(nn.Module):
    """One layer over tokens ``(B,V,T,C)``."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.over_time = Attention(width, config.heads)
        self.over_views = Attention(width, config.heads)
        self.to_ground = Attention(width, config.heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, width)
        )
        nn.init.zeros_(self.over_views.out.weight)
        nn.init.zeros_(self.over_views.out.bias)

    def forward(self, tokens: Tensor, ground: Tensor, phase: Tensor, mask: Tensor) -> Tensor:
        """Return tokens ``(B,V,T,C)``; ``ground (B*V,M,C)``, ``phase (B*V,1,T,D/2)``, ``mask (B*V,1,1,T)``."""
        batch, views, frames, width = tokens.shape
        h = self.norms[0](tokens).flatten(0, 1)
        tokens = tokens + self.over_time(h, h, phase, mask).view_as(tokens)
        if views > 1:
            h = self.norms[1](tokens).transpose(1, 2).reshape(batch * frames, views, width)
            mixed = self.over_views(h, h).view(batch, frames, views, width)
            tokens = tokens + mixed.transpose(1, 2)
        h = self.norms[2](tokens).flatten(0, 1)
        tokens = tokens + self.to_ground(h, ground).view_as(tokens)
        return tokens + self.feed_forward(self.norms[3](tokens))


class Denoiser(nn.Module):
    """Predicts clean motion of all views from noisy motion and conditions."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, joints = config.width, config.joints
        self.embed_motion = nn.Linear((joints + 2) * 2, width)
        self.embed_keypoints = nn.Linear(joints * config.ablation.keypoint_features, width)
        self.embed_frame = nn.Linear(FRAME_FEATURES, width)
        self.embed_camera = nn.Sequential(nn.Linear(CAMERA_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.embed_step = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.view = nn.Parameter(torch.randn(VIEWS, width) * 0.02)
        self.encode_cells = nn.Sequential(
            nn.Conv2d(4, width // 2, 3, padding=1), nn.GELU(), nn.Conv2d(width // 2, width, 2, stride=2)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, (joints + 1) * 3 if config.ablation.direct else (joints + 2) * 2)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def encode_pointmaps(self, conditions: Conditions) -> Tensor:
        """Return the memory ``(B,V,M,C)`` of the pointmaps: once per clip, it does not depend on the diffusion step."""
        maps = conditions.pointmaps
        cells = self.encode_cells(maps.flatten(0, 1).permute(0, 3, 1, 2))
        memory = cells.flatten(2).transpose(1, 2).unflatten(0, maps.shape[:2])
        return memory + self.embed_camera(conditions.cameras)[:, :, None]

    def forward(
        self,
        x: Tensor,
        step: Tensor,
        conditions: Conditions,
        memory: Tensor,
        views: Tensor | None = None,
        *,
        observed: bool = True,
    ) -> Tensor:
        """Return ``x0 (B,V,T,J+2,2)`` of ``x`` at noise ``step (B)``; arguments as of ``tokens``."""
        return self.motion(self.tokens(x, step, conditions, memory, views, observed=observed))

    def motion(self, tokens: Tensor) -> Tensor:
        """Return ``x0 (B,V,T,J+2,2)`` that ``tokens (B,V,T,C)`` say."""
        return self.head(tokens).unflatten(-1, (-1, 2))

    def tokens(
        self,
        x: Tensor,
        step: Tensor,
        conditions: Conditions,
        memory: Tensor,
        views: Tensor | None = None,
        *,
        observed: bool = True,
    ) -> Tensor:
        """Return what the last layer has understood ``(B,V,T,C)`` of ``x (B,V,T,J+2,2)`` at noise ``step (B)``.

        ``memory (B,V,M,C)`` from ``encode_pointmaps``. ``views (B,V)`` picks views (stage 1 trains one at a time); all
        by default. ``observed`` False hides V0's keypoints (stage 1 knows cameras and ground alone).
        """
        width = self.config.width
        if views is None:
            views = torch.arange(VIEWS, device=x.device).expand(len(x), -1)
        # what is all noise is not worth listening to: at the noisiest step the conditions speak alone
        signal = signal_level(step).sqrt().view(-1, 1, 1, 1)
        tokens = self.embed_motion(x.flatten(-2) * signal) + self.view[views][:, :, None]
        camera = self.embed_camera(conditions.cameras).gather(1, views[..., None].expand(-1, -1, width))
        tokens = tokens + camera[:, :, None] + self.embed_step(_step_phases(step, width))[:, None, None]
        if observed:
            told = self.embed_keypoints(conditions.keypoints.flatten(-2)) + self.embed_frame(conditions.frames)
            tokens = tokens + told[:, None]
        ground = memory.gather(1, views[..., None, None].expand(-1, -1, *memory.shape[2:])).flatten(0, 1)
        phase, mask = self._phases(conditions.time_s, views.shape[1]), conditions.valid[:, None, None, :]
        mask = mask.repeat_interleave(views.shape[1], 0)
        for block in self.blocks:
            tokens = block(tokens, ground, phase, mask)
        return self.norm(tokens)

    def _phases(self, time_s: Tensor, views: int) -> Tensor:
        """Rotary phases ``(B*V,1,T,D/2)``: periods from a fifth of a second to twenty seconds."""
        half = self.config.width // self.config.heads // 2
        period = torch.logspace(math.log10(0.2), math.log10(20.0), half, device=time_s.device)
        phase = time_s[..., None] * (2 * math.pi / period)
        return phase.repeat_interleave(views, 0)[:, None]


def _step_phases(step: Tensor, width: int) -> Tensor:
    frequency = torch.exp(torch.linspace(0, -math.log(1000.0), width // 2, device=step.device))
    phase = step[:, None].to(torch.float32) * frequency
    return torch.cat([torch.sin(phase), torch.cos(phase)], -1)
