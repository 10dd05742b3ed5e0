"""index.html opened from disk in a browser: every control does what it says, and nothing is complained of."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from mocap_video.pipeline.viewer import write_page
from synth.browser import PHONE, Tab, chromium, misplaced, open_tab, wait_until
from synth.reviews import FRAMES, RATE, SIZE, walker, write_clip
from synth.videos import number_of

NASTY = "it's \"a\" <!-- <script>document.title='owned'<b> &amp;.mp4"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, the second from half the clip on and flagged for a while; videos; names that pages trip over."""
    folder = tmp_path_factory.mktemp("static") / "it's <b>"
    people = (walker(1), walker(2, 1.2, frames=FRAMES // 2, first=FRAMES // 2))

    def flagging(person: int, frame: int) -> list[str]:
        return ["feet_hidden"] if (person, frame) >= (2, 5) else []

    write_clip(folder, *people, clip=NASTY, videos=True, flagging=flagging)
    return write_page(folder)


@pytest.fixture(scope="module")
def opened(browser: Browser, clip: Path) -> Iterator[Tab]:
    tab = open_tab(browser, size=(900, 1000))
    tab.page.goto(clip.as_uri())
    wait_until(tab.page, "document.querySelector('video').readyState >= 2")
    yield tab
    tab.page.context.close()


@pytest.fixture
def page(opened: Tab) -> Iterator[Page]:
    """The page at its first frame, person 1 chosen; a test that makes it complain fails."""
    opened.page.keyboard.press("Home")
    opened.page.click("[data-person='1']")
    opened.page.evaluate("document.activeElement.blur()")
    settle(opened.page)
    yield opened.page
    assert opened.complaints == []


def now(page: Page) -> float:
    """Return the time that the page shows, s."""
    minutes, seconds = page.inner_text("#now").split(" / ")[0].split(":")
    return 60 * int(minutes) + float(seconds)


def settle(page: Page) -> None:
    """Wait until the video shows the frame that was asked for, and all is drawn."""
    wait_until(
        page, "[...document.querySelectorAll('video')].every((v) => v.hidden || (!v.seeking && v.readyState >= 2))"
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shown_frame(page: Page) -> int:
    """Return the number that is in the video's picture as one sees it, inside its pane."""
    seen = np.asarray(Image.open(io.BytesIO(page.locator("video:visible").screenshot())).convert("RGB"))
    (height, width), (wide, high) = seen.shape[:2], SIZE
    scale = min(width / wide, height / high)
    top, left = round((height - scale * high) / 2), round((width - scale * wide) / 2)
    return number_of(seen[top : top + round(scale * high), left : left + round(scale * wide)])


def view(page: Page) -> bytes:
    """Return the 3D view as it looks."""
    settle(page)
    return page.locator(".space canvas").screenshot()


def test_it_opens_from_disk_and_names_are_text(page: Page) -> None:
    assert page.inner_text("h1") == NASTY
    assert page.title() == f"{NASTY} - mocap-video"
    assert page.locator("b", has_text="<b>").count() == 0
    assert page.locator(".person").count() == 2
    assert "2 people" in page.inner_text("header p")


def test_play_runs_to_the_end_and_begins_again(page: Page) -> None:
    page.click("#play")
    wait_until(page, "document.querySelector('video').ended")
    wait_until(page, "document.querySelector('video').paused")
    assert now(page) == pytest.approx((FRAMES - 1) / RATE, abs=0.5 / RATE)
    page.keyboard.press("Space")
    wait_until(page, "!document.querySelector('video').ended")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('video').paused")


def test_the_seek_bar_and_the_video_agree(page: Page) -> None:
    page.fill("#seek", "5000")
    settle(page)
    assert now(page) == pytest.approx(0.5 * (FRAMES - 1) / RATE, abs=1 / RATE)
    assert shown_frame(page) == int(0.5 * (FRAMES - 1))


def test_steps_go_frame_by_frame_in_lockstep(page: Page) -> None:
    frames = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Shift+ArrowRight", "Shift+ArrowLeft"):
        page.keyboard.press(key)
        settle(page)
        frames.append((shown_frame(page), round(now(page) * RATE)))
    assert frames == [(1, 1), (2, 2), (3, 3), (2, 2), (2 + RATE, 2 + RATE), (2, 2)]
    page.click("#forward")
    page.click("#back")
    page.click("#back")
    settle(page)
    assert shown_frame(page) == 1
    page.keyboard.press("End")
    settle(page)
    assert shown_frame(page) == FRAMES - 1


def test_speed_is_the_videos(page: Page) -> None:
    page.select_option("#speed", "0.25")
    assert page.evaluate("document.querySelector('video').playbackRate") == 0.25
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(">")
    page.keyboard.press(">")
    assert page.input_value("#speed") == "1"
    page.keyboard.press("<")
    assert page.evaluate("document.querySelector('video').playbackRate") == 0.5
    page.select_option("#speed", "1")


def test_choosing_a_person_goes_where_the_person_is(page: Page) -> None:
    before = view(page)
    page.click("[data-person='2']")
    settle(page)
    assert page.get_attribute("[data-person='2']", "aria-pressed") == "true"
    assert page.get_attribute("[data-person='1']", "aria-pressed") == "false"
    assert now(page) == pytest.approx(FRAMES / 2 / RATE, abs=0.01)
    assert view(page) != before
    page.keyboard.press("1")
    assert page.get_attribute("[data-person='1']", "aria-pressed") == "true"


def test_a_flag_says_its_sentence_and_goes_to_its_first_time(page: Page) -> None:
    assert page.locator(".flag").count() == 0, "person 1 has none"
    page.click("[data-person='2']")
    assert "feet hidden: distance from body size only" in page.inner_text(".flag")
    assert "80 %" in page.inner_text(".flag")
    page.click("[data-flag='feet_hidden']")
    assert now(page) == pytest.approx((FRAMES / 2 + 5) / RATE, abs=0.01)


def test_the_video_is_switched_and_stays_at_the_frame(page: Page) -> None:
    page.fill("#seek", "2500")
    for name in ("topview.mp4", "review.mp4"):
        page.click(f"button[data-video='{name}']")
        settle(page)
        assert page.locator(f"video[data-video='{name}']").is_visible()
        assert shown_frame(page) == int(0.25 * (FRAMES - 1))
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("v")
    assert page.locator("video[data-video='overlay.mp4']").is_visible()


def test_the_3d_view_turns_zooms_and_looks_from_elsewhere(page: Page) -> None:
    looks = [view(page)]
    box = page.locator(".space canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 30, steps=3)
    page.mouse.up()
    looks.append(view(page))
    page.mouse.wheel(0, -300)
    looks.append(view(page))
    for mode in ("camera", "top", "site"):
        page.click(f"[data-view='{mode}']")
        assert page.get_attribute(f"[data-view='{mode}']", "aria-pressed") == "true"
        looks.append(view(page))
    assert len(set(looks)) == len(looks) - 1, "turned, zoomed, camera and top differ; site is as at first"
    assert looks[-1] == looks[0]
    for key, mode in (("c", "camera"), ("t", "top"), ("s", "site")):
        page.keyboard.press(key)
        assert page.get_attribute(f"[data-view='{mode}']", "aria-pressed") == "true"


def test_the_body_moves_with_time_and_is_followed(page: Page) -> None:
    first = view(page)
    page.click("#follow")
    assert page.get_attribute("#follow", "aria-pressed") == "true"
    page.fill("#seek", "8000")
    followed = view(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("s")
    assert page.get_attribute("#follow", "aria-pressed") == "false"
    assert len({first, followed, view(page)}) == 3


def test_a_click_on_a_body_chooses_the_person(page: Page) -> None:
    page.keyboard.press("End")
    page.keyboard.press("f")  # person 1 comes to the middle
    page.keyboard.press("f")
    page.keyboard.press("2")
    settle(page)
    assert page.get_attribute("[data-person='2']", "aria-pressed") == "true"
    page.click(".space canvas")
    assert page.get_attribute("[data-person='1']", "aria-pressed") == "true"
    page.keyboard.press("s")


def test_the_timelines_seek_choose_and_zoom(page: Page) -> None:
    box = page.locator(".graphs canvas").bounding_box()
    assert box is not None
    left, right = box["x"] + 124, box["x"] + box["width"] - 96
    page.mouse.click(left + 0.75 * (right - left), box["y"] + 120)
    assert now(page) == pytest.approx(0.75 * (FRAMES - 1) / RATE, abs=1.5 / RATE)
    page.mouse.click(left + 0.9 * (right - left), box["y"] + 4 + 15 + 6)  # the second lane
    assert page.get_attribute("[data-person='2']", "aria-pressed") == "true"
    canvas = page.locator(".graphs canvas")
    looks = [canvas.screenshot()]
    for button in ("#zoom-in", "#zoom-in", "#zoom-out", "#zoom-fit"):
        page.click(button)
        settle(page)
        looks.append(canvas.screenshot())
    assert looks[0] != looks[1] != looks[2] != looks[3] != looks[4]


def test_what_was_clicked_leaves_space_to_the_player(page: Page) -> None:
    page.click("[data-view='top']")
    page.keyboard.press("Space")
    wait_until(page, "!document.querySelector('video').paused")
    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('video').paused")
    page.focus("[data-view='site']")
    page.keyboard.press("Space")  # reached by keyboard: the button's own
    assert page.get_attribute("[data-view='site']", "aria-pressed") == "true"
    assert page.evaluate("document.querySelector('video').paused")


def test_theme_and_keys(page: Page) -> None:
    def paper() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark, in_dark = paper(), view(page)
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert paper() != dark
    assert view(page) != in_dark
    page.click("#theme")
    assert paper() == dark
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    assert page.locator("dialog.keys").is_visible()
    page.click("dialog.keys button")
    page.click("#help")
    page.keyboard.press("Escape")
    assert not page.locator("dialog.keys").is_visible()


def test_a_clip_without_videos_plays_by_itself_in_the_systems_theme(browser: Browser, tmp_path: Path) -> None:
    tab = open_tab(browser, theme="light", size=(420, 800))
    page = tab.page
    page.goto(write_page(write_clip(tmp_path / "lifted", walker(1))).as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.locator("video").count() == 0
    assert "No videos" in page.inner_text(".empty")
    page.click("#play")
    wait_until(page, "document.querySelector('#now').textContent.startsWith('0:01.')")
    page.keyboard.press("Home")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out of a narrow window"
    assert tab.complaints == []
    page.context.close()


def test_in_a_phones_window_all_is_in_reach(browser: Browser, clip: Path) -> None:
    tab = open_tab(browser, size=PHONE)
    page = tab.page
    page.goto(clip.as_uri())
    wait_until(page, "document.querySelector('video').readyState >= 2")
    assert misplaced(page) == []
    for bottom in (False, True):
        page.evaluate(f"scrollTo(0, {1e6 if bottom else 0})")
        play = page.locator("#play").bounding_box()
        assert play is not None
        assert bottom or play["y"] + play["height"] <= PHONE[1], "the controls stay in sight above all that follows"
    page.evaluate("scrollTo(0, 0)")
    page.fill("#seek", "10000")
    settle(page)
    assert now(page) == pytest.approx((FRAMES - 1) / RATE, abs=0.5 / RATE)
    page.click("[data-person='2']")
    page.click(".flag")
    settle(page)
    graphs = page.evaluate("document.querySelector('.graphs canvas').getBoundingClientRect().width")
    assert graphs > 0.9 * PHONE[0]
    assert misplaced(page) == []
    assert tab.complaints == []
    page.context.close()
