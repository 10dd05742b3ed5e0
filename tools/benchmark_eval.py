"""Measure lifter and body fit on held-out motion and write docs/benchmarks/eval.md.

Use: ``python tools/benchmark_eval.py MOTIONS``, then ``tools/benchmark.py --assemble``. MOTIONS is the
folder of the open motion set. The figures are those of `mocap-video eval MOTIONS --fit --baselines`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mocap_video.lifter.fit import FitConfig
from mocap_video.lifter.lift import LiftConfig
from mocap_video.lifter.metrics import LABELS
from mocap_video.lifter.weights import load_weights, shipped_weights
from mocap_video.pipeline.evaluate import TABLE, Plan, evaluate_split

OUTPUT = Path("docs/benchmarks/eval.md")


def rows_of(plan: Plan) -> Iterator[str]:
    """Yield the lines of a table."""
    for row in evaluate_split(plan, LiftConfig(), FitConfig(), lambda _: None):
        cells = [row.data, row.cameras, row.noise, row.method]
        line = "| " + " | ".join([*cells, *(f"{getattr(row.errors, name):.1f}" for name in TABLE)]) + " |"
        print(line, flush=True)
        yield line


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motions", type=Path)
    parser.add_argument("--limit", type=int, default=24, help="clips of each kind")
    parser.add_argument(
        "--against", type=Path, action="append", default=[], help="other weights, such as a regressor's"
    )
    options = parser.parse_args()
    columns = ["split", "cameras", "2D", "method", *(LABELS[name] for name in TABLE)]
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    plan = Plan(options.motions, "val", fit=True, baselines=True, limit=options.limit, against=tuple(options.against))
    lines = [
        "## Lifter and body fit on held-out clips",
        "",
        f"Made by `python tools/benchmark_eval.py MOTIONS --limit {options.limit}`; weights "
        f"`{load_weights(shipped_weights()).digest[:12]}`, seed {plan.seed}. Clips of 4 s "
        "at 30 frames a second of our body, spread evenly over the split, before random cameras: *site* stands 1.5 to "
        "6 m high and 3 to 12 m away, *wide* 0.6 to 12 m high and 1.8 to 25 m away. Millimetres where no unit stands. "
        "*SMPLify from 2D*: the same fit from a mean pose, without a lifter.",
        "",
        *head,
        *rows_of(plan),
        *rows_of(replace(plan, split="test")),
        "",
        "Known height: clips wear random bodies, and the fit is told each one's stature.",
        "",
        *head,
        *rows_of(replace(plan, split="test", baselines=False, against=(), shapes="random", height=True)),
    ]
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
