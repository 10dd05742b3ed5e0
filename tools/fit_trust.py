"""Fit what the trust score weighs to the lifter's weights and write lifter/assets/trust.json.

    python tools/fit_trust.py MOTIONS

MOTIONS is the folder of the open motion set. Its train split is varied as training varies it and recorded as sites see
people (pipeline/staged.py); lifter and body fit run as in `mocap-video run`. Run it again whenever the lifter's weights
change, then tools/benchmark_trust.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from mocap_video.artifacts import atomic_write
from mocap_video.lifter.fit import FitConfig
from mocap_video.lifter.lift import LiftConfig
from mocap_video.lifter.weights import load_weights, shipped_weights
from mocap_video.pipeline.staged import Recording, StagePlan, record
from mocap_video.pipeline.trust import FORMAT, NEAR_M, TERMS, signs_of, terms_of

OUTPUT = Path("lifter/assets/trust.json")
PENALTY = 1e-3
"""Of the squared weights, per frame: what a sign may cost that hardly helps."""

LEAST = {"misfit": 0.1}
"""The least weight of signs of what the recordings hardly show: a body that lies elsewhere than its keypoints, as where
two people are mixed up.
"""


def learned_from(recordings: Iterable[Recording]) -> tuple[np.ndarray, np.ndarray]:
    """Return the terms ``(N,F)`` of all frames in the order of ``TERMS`` and which of them are right ``(N)``."""
    rows, right = [], []
    for recording in recordings:
        terms = terms_of(signs_of(recording.person, recording.calibration))
        rows.append(np.stack([terms[name] for name in TERMS], 1))
        right.append(np.linalg.norm(recording.fitted - recording.truth, axis=-1).mean(-1) < NEAR_M)
        print(f"\r{len(rows)} recordings", end="", flush=True)
    print()
    return np.concatenate(rows), np.concatenate(right)


def fit(terms: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the bias and the weights ``(1+F)`` of the most likely logistic model whose weights are not below 0, or
    ``LEAST``.
    """

    def cost(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        odds = numbers[0] - terms @ numbers[1:]
        off = 1 / (1 + np.exp(-odds)) - right
        slope = np.append(off.mean(), -(terms * off[:, None]).mean(0))
        slope[1:] += PENALTY * numbers[1:]
        return float((np.logaddexp(0, odds) - right * odds).mean() + PENALTY / 2 * (numbers[1:] ** 2).sum()), slope

    bounds = [(None, None)] + [(LEAST.get(name, 0.0), None) for name in TERMS]
    found = minimize(cost, np.zeros(1 + terms.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B")
    if not found.success:
        raise SystemExit(f"no fit: {found.message}")
    return found.x


def main() -> None:
    """Record, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", type=Path)
    parser.add_argument("--rounds", type=int, default=8, help="of 20 recordings each")
    options = parser.parse_args()
    plan = StagePlan(options.motions, "train", range(options.rounds), varied=True, seed=1)
    terms, right = learned_from(record(plan, lift_config=LiftConfig(), fit_config=FitConfig()))
    bias, *weights = fit(terms, right).round(3).tolist()
    content = {
        "format": FORMAT,
        "made_by": f"python tools/fit_trust.py MOTIONS --rounds {options.rounds}",
        "lifter": load_weights(shipped_weights()).digest[:12],
        "frames": len(right),
        "bias": bias,
        "weights": {name: weight for name, weight in zip(TERMS, weights, strict=True) if weight > 0},
    }
    with atomic_write(OUTPUT) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(f"{OUTPUT}: {len(right)} frames, {right.mean():.0%} of them within {100 * NEAR_M:.0f} cm")


if __name__ == "__main__":
    main()
