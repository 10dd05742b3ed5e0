"""How sure the lifter is: the error to expect of every joint, learned from what the denoiser has understood.

Samples of a few-step diffusion differ less than they err: their common mistakes do not show in their deviation. A small
head on the denoiser's own tokens learns the size of the error on synthetic motion, after the network is trained and
without changing it (method 7.4). Its answer and the samples' deviation add in squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mocap_video.errors import ConfigError
from mocap_video.lifter.ablation import pose_problem
from mocap_video.lifter.body import BodyModel
from mocap_video.lifter.data.bank import MotionBank
from mocap_video.lifter.data.synthetic import SyntheticConfig, make_samples
from mocap_video.lifter.diffusion import STEPS, motion_noise
from mocap_video.lifter.guidance import triangulate_views
from mocap_video.lifter.network import Denoiser, NetworkConfig
from mocap_video.lifter.representation import noise_in_views
from mocap_video.lifter.views import VIEWS, Scene, build_scene
from mocap_video.skeletons import Skeleton

_HIDDEN = 128
_LOG_BOUNDS = (-6.0, 2.0)
"""Expected errors are kept between 2.5 mm and 7.4 m."""

_EVERY_FRAME = 3
"""Neighbouring frames say the same; one in three is learned from."""


@dataclass(frozen=True)
class SpreadTraining:
    """How the head is trained: ``windows`` of ``frames`` drawn ``batch`` at once, then ``steps`` of ``rate``."""

    windows: int = 12288
    frames: int = 32
    batch: int = 64
    steps: int = 4000
    rate: float = 1e-3
    weight_decay: float = 0.1
    dropout: float = 0.2
    seed: int = 0
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


class SpreadHead(nn.Module):
    """From the denoiser's tokens ``(...,V*C)`` of a frame to the expected error ``(...,J)`` m of its joints."""

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(VIEWS * config.width),
            nn.Dropout(dropout),
            nn.Linear(VIEWS * config.width, _HIDDEN),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(_HIDDEN, config.joints),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logarithm of the expected error in m."""
        return self.net(tokens).clamp(*_LOG_BOUNDS)


@torch.no_grad()
def _understood(
    model: Denoiser, scene: Scene, noise: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Tokens ``(B,T,V*C)`` of the noisiest step, where the conditions speak alone, and its joints ``(B,T,J,3)`` m."""
    if model.config.ablation.direct:
        raise ConfigError("spread: a plain regressor has no head for its spread; calibrate weights of the denoiser")
    problem = pose_problem(scene, model.config.ablation, generator)
    step = torch.full((len(noise),), STEPS - 1, device=noise.device)
    memory = model.encode_pointmaps(problem.conditions)
    noisy = noise_in_views(noise, problem.scene, problem.white)
    tokens = model.tokens(noisy, step, problem.conditions, memory)
    joints = triangulate_views(model.motion(tokens), problem.scene, problem.white)
    return tokens.transpose(1, 2).flatten(2), joints


@torch.no_grad()
def expected_error(
    model: Denoiser, head: SpreadHead, scene: Scene, skeleton: Skeleton, noise: Tensor | None = None
) -> Tensor:
    """Return the error to expect of every joint ``(B,T,J)`` m; ``noise (B,T,J+1,4)`` hardly matters, it is the same in
    every call where None.
    """
    if noise is None:
        generator = torch.Generator(scene.seen.xy.device).manual_seed(0)
        noise = motion_noise(scene.seen.time_s, len(skeleton) + 1, generator)
    tokens, _ = _understood(model, scene, noise)
    return head(tokens).exp()


def train_spread(
    model: Denoiser, skeleton: Skeleton, bank: MotionBank, body: BodyModel, config: SpreadTraining
) -> SpreadHead:
    """Train a head for ``model``, which stays as it is, on synthetic motion of ``bank``.

    It minimises ``log s + e / s`` of the error e (m) and the expected error s: the likelihood of an exponential
    distribution, so s becomes the mean error of what looks alike.
    """
    device = next(model.parameters()).device
    draw, generator = torch.Generator().manual_seed(config.seed), torch.Generator(device).manual_seed(config.seed)
    told, errors = [], []
    for _ in range(0, config.windows, config.batch):
        windows = bank.draw(config.batch, config.frames, draw).to(device)
        sample = make_samples(windows, body, skeleton, config.synthetic, generator)
        noise = motion_noise(sample.seen.time_s, len(skeleton) + 1, generator)
        tokens, joints = _understood(model, build_scene(sample.seen, skeleton), noise, generator)
        known = sample.seen.valid & (sample.seen.score > 0).any(-1)
        known[:, torch.arange(config.frames, device=device) % _EVERY_FRAME != 0] = False
        told.append(tokens[known])
        errors.append((joints - sample.joints).norm(dim=-1)[known])
    tokens, error = torch.cat(told), torch.cat(errors)
    torch.manual_seed(config.seed)
    head = SpreadHead(model.config, config.dropout).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.rate, weight_decay=config.weight_decay)
    for _ in range(config.steps):
        pick = torch.randint(len(tokens), (256,), generator=generator, device=device)
        log_spread = head(tokens[pick])
        loss = (log_spread + error[pick] * torch.exp(-log_spread)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head.eval()
