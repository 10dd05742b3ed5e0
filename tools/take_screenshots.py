"""Take the pictures of docs/review.md from the synthetic demo: docs/images/review_*.jpg.

    mocap-video demo -o out/demo
    python tools/take_screenshots.py out/demo/results

Needs the extra `dev` and Chromium. The list is filled with made results besides the demo's own.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from mocap_video.pipeline.review import ReviewServer
from mocap_video.pipeline.review_store import VERDICTS, Query
from mocap_video.pipeline.viewer import write_page
from synth.browser import PHONE, chromium, open_tab, wait_until
from synth.reviews import add_flags, write_many

IMAGES = Path("docs/images")
SIZE = (1360, 860)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="the demo's results folder")
    demo = parser.parse_args().demo
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        clip = Path(name) / "demo"
        shutil.copytree(demo, clip, ignore=shutil.ignore_patterns(".cache"))
        add_flags(clip, lambda _person, frame: ["feet_hidden"] if 58 <= frame < 80 else [])
        page = open_tab(browser, size=(SIZE[0], 1010)).page
        page.goto(write_page(clip).as_uri())
        wait_until(page, "document.querySelector('video').readyState >= 2")
        page.fill("#seek", "5600")
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(3000)
        save(page.screenshot(), "review_player.jpg")
        root = Path(name) / "site recordings"
        write_many(root, 40, clip)
        list_shots(browser, root)


def list_shots(browser, root: Path) -> None:  # noqa: ANN001 - playwright's browser
    server = ReviewServer(root, 0)
    server.store.update()
    for place, row in enumerate(server.store.listing(Query()).rows[1:9]):
        note = "left foot slides at 2 s" if place == 1 else ""
        server.store.say(row.id, 0, VERDICTS[(0, 2, 0, 1, 0, 0, 2, 0)[place]], note)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    page = open_tab(browser, theme="light", size=(SIZE[0], 640)).page
    page.goto(server.url)
    wait_until(page, "[...document.querySelectorAll('.row img')].filter((i) => i.naturalWidth).length >= 8")
    save(page.screenshot(), "review_list.jpg")
    page = open_tab(browser, size=PHONE).page
    page.goto(server.url)
    wait_until(page, "[...document.querySelectorAll('.row img')].filter((i) => i.naturalWidth).length >= 8")
    shots = [page.screenshot()]
    page.click(".row >> nth=1")
    wait_until(page, "document.querySelector('video')?.readyState >= 2")
    page.wait_for_timeout(3000)
    shots.append(page.screenshot())
    save(_side_by_side(shots), "review_phone.jpg")
    server.stop()
    thread.join()


def _side_by_side(shots: list[bytes]) -> bytes:
    pictures = [Image.open(io.BytesIO(shot)) for shot in shots]
    whole = Image.new(
        "RGB", (sum(one.width for one in pictures) + 20 * (len(pictures) - 1), pictures[0].height), "white"
    )
    for place, one in enumerate(pictures):
        whole.paste(one, (place * (one.width + 20), 0))
    stream = io.BytesIO()
    whole.save(stream, "png")
    return stream.getvalue()


def save(png: bytes, name: str) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(IMAGES / name, quality=80, optimize=True, progressive=True)
    print(IMAGES / name, (IMAGES / name).stat().st_size // 1000, "kB")


if __name__ == "__main__":
    main()
