"""The surface that is drawn is the body model's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap_video.lifter.body import load_body
from mocap_video.lifter.rotations import matrix_from_rotvec
from mocap_video.pipeline.render_videos import Skin
from mocap_video.types import BodyFit


@pytest.mark.parametrize("bends", [False, True], ids=["plain", "with pose correctives"])
def test_a_skin_row_is_the_body_models_surface(bends: bool) -> None:
    body, rng, rows = load_body("neutral"), np.random.default_rng(5), 3
    if bends:
        posedirs = rng.normal(0, 0.002, (*body.v_template.shape, 207))
        body = replace(body, posedirs=torch.as_tensor(posedirs, dtype=torch.float32))
    fit = BodyFit(
        person=1,
        gender="neutral",
        betas=rng.normal(0, 1, 10),
        global_orient=rng.normal(0, 1, (rows, 3)),
        body_pose=rng.normal(0, 0.4, (rows, 23, 3)),
        transl=rng.normal(0, 3, (rows, 3)),
        joints=np.zeros((rows, 24, 3)),
        residual=np.zeros(rows),
    )
    rotvec = np.concatenate([fit.global_orient[:, None], fit.body_pose], 1)
    betas, rotvec, transl = (torch.as_tensor(a, dtype=torch.float32) for a in (fit.betas, rotvec, fit.transl))
    expected = body.vertices(betas, matrix_from_rotvec(rotvec), transl).numpy()
    skin = Skin.of(fit, body)
    for row in range(rows):
        np.testing.assert_allclose(skin.vertices(row), expected[row], rtol=0, atol=1e-5)  # m
