"""Measure the review's page over many results and write docs/benchmarks/review.md.

    python tools/benchmark_review.py [--clips 1000] [--repeats 5]

Needs the extra `dev` and Chromium. The results are made; two people of 2 s each. Wall-clock times are worth something
on a machine that does nothing else; the processor's own time (of the server, and of the page's main thread) always is.
``tools/benchmark.py --assemble`` takes the part in.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import CDPSession

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mocap_video.pipeline.review import ReviewServer
from synth.browser import chromium, open_tab
from synth.reviews import walker, write_clip, write_many

OUTPUT = Path("docs/benchmarks/review.md")
NOTED = """new Promise((done) => { const look = () => document.querySelectorAll('.row').length > 5
    ? done(performance.now()) : requestAnimationFrame(look); look(); })"""
JUMP = """new Promise((done) => { const begin = performance.now(), list = document.querySelector('#list');
    list.scrollTop = SHARE * list.scrollHeight;
    const look = () => [...document.querySelectorAll('.row')].some((row) => {
      const box = row.getBoundingClientRect(), of = list.getBoundingClientRect();
      return box.top >= of.top && box.bottom <= of.bottom; })
        ? done(performance.now() - begin) : requestAnimationFrame(look);
    requestAnimationFrame(look); })"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "results"
        write_many(root, options.clips, write_clip(Path(name) / "template", walker(1), walker(2, 1.2)))
        server = ReviewServer(root, 0)
        begin = time.perf_counter(), time.process_time()
        server.store.update()
        index = time.perf_counter() - begin[0], time.process_time() - begin[1]
        begin = time.perf_counter(), time.process_time()
        server.store.update()
        again = time.perf_counter() - begin[0], time.process_time() - begin[1]
        page = page_times(server, options.repeats)
    load = os.getloadavg()[0]
    lines = [
        f"## The review's page over {options.clips} clips",
        "",
        f"Made by `python tools/benchmark_review.py --clips {options.clips} --repeats {options.repeats}` on "
        f"{os.cpu_count()} CPU cores, load average {load:.0f} (at rest it is under 1): wall-clock times with others on "
        "the machine. Headless Chromium.",
        "",
        "| what | wall s | CPU s |",
        "|---|---|---|",
        f"| reading all results for the first time | {index[0]:.2f} | {index[1]:.2f} |",
        f"| starting again, nothing new | {again[0]:.2f} | {again[1]:.2f} |",
        f"| from opening the page to its first rows, median | {page.shown:.2f} | {page.shown_cpu:.2f} |",
        f"| jumping elsewhere in the list until its rows are there, median | {page.jump:.2f} | {page.jump_cpu:.2f} |",
    ]
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


@dataclass(frozen=True)
class PageTimes:
    """Medians, s: until the first rows are there, and until they are after a jump; on the clock, and of processors."""

    shown: float
    shown_cpu: float
    jump: float
    jump_cpu: float


def page_times(server: ReviewServer, repeats: int) -> PageTimes:
    """Open the page ``repeats`` times and jump in its list."""
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    times: list[tuple[float, float, float, float]] = []
    with chromium() as browser:
        for number in range(repeats + 1):  # the first warms the browser
            page = open_tab(browser).page
            inspector = page.context.new_cdp_session(page)
            inspector.send("Performance.enable", {"timeDomain": "threadTicks"})

            def cpu(inspector: CDPSession = inspector) -> float:
                metrics = inspector.send("Performance.getMetrics")["metrics"]
                return time.process_time() + next(one["value"] for one in metrics if one["name"] == "TaskDuration")

            before = cpu()
            page.goto(server.url, wait_until="commit")
            shown, shown_cpu = page.evaluate(NOTED) / 1000, cpu() - before
            before = cpu()
            jump = page.evaluate(JUMP.replace("SHARE", f"{(number + 1) / (repeats + 2):.3f}")) / 1000
            times.append((shown, shown_cpu, jump, cpu() - before))
            page.context.close()
    server.stop()
    thread.join()
    return PageTimes(*(statistics.median(values) for values in zip(*times[1:], strict=True)))


if __name__ == "__main__":
    main()
