"""The review in a browser: list, filters, player, verdicts and notes, each by mouse and by key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mocap_video.pipeline.review import ReviewServer
from mocap_video.pipeline.review_store import Query, ReviewStore
from synth.browser import PATIENCE_MS, PHONE, Tab, chromium, misplaced, open_tab, wait_until
from synth.reviews import walker, write_clip, write_many

NASTY = 'zz "q" it\'s <img src=x onerror=alert(1)>'
COUNT = 300

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    """Three hundred results below ten cameras, and one with a nasty name and videos, the least trusted."""
    folder = tmp_path_factory.mktemp("review")
    template = write_clip(folder / "template", walker(1), walker(2, 1.2))
    write_many(folder / "results", COUNT, template)
    write_clip(folder / "results" / NASTY, walker(8), videos=True, flagging=lambda _person, _frame: ())
    serving = ReviewServer(folder / "results", 0)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    yield serving
    serving.stop()
    thread.join()


@pytest.fixture(scope="module")
def opened(browser: Browser, server: ReviewServer) -> Iterator[Tab]:
    tab = open_tab(browser, size=(1300, 800))
    tab.page.goto(server.url)
    expect(tab.page.locator("#count")).to_have_text(f"{COUNT + 1} clips · {2 * COUNT + 1} people")
    yield tab
    tab.page.context.close()


@pytest.fixture
def page(opened: Tab, server: ReviewServer) -> Iterator[Page]:
    """The list with nothing open, filtered or said; a test that makes the page complain fails."""
    for one in said(server.store):
        forget(server.store, one[0], one[1])
    opened.page.goto("about:blank")
    opened.page.goto(server.url)
    expect(opened.page.locator(".row").first).to_be_visible()
    yield opened.page
    assert opened.complaints == []


def said(store: ReviewStore) -> list[tuple[str, int, str, str]]:
    return [(one.folder, one.person, one.verdict, one.note) for one in store.said()]


def forget(store: ReviewStore, folder: str, person: int) -> None:
    clip = next(row.id for row in store.listing(Query(text=folder)).rows if row.folder == folder)
    store.say(clip, person, "", "")


ROWS = """[...document.querySelectorAll('.row')]
    .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)"""


def names(page: Page) -> list[str]:
    """Return the folders of the rows in sight, from the top."""
    return page.evaluate(f"{ROWS}.map((row) => row.dataset.folder)")


def trusts(page: Page) -> list[float]:
    """Return the trust of the rows in sight, from the top."""
    return page.evaluate(f"{ROWS}.map((row) => Number(row.querySelector('.trusting b').textContent))")


def wait_for_rows(page: Page, test: str) -> None:
    """Wait until ``test``, a function of the folders in sight in JavaScript, holds."""
    wait_until(page, f"({test})([...document.querySelectorAll('.row')].map((row) => row.dataset.folder))")


def eventually(page: Page, store: ReviewStore, expected: list[tuple[str, int, str, str]]) -> None:
    """Wait until the database says ``expected``."""
    for _ in range(300):
        if said(store) == expected:
            return
        page.wait_for_timeout(50)
    assert said(store) == expected


def test_the_list_shows_what_is_in_sight_and_scrolls_through_all(page: Page) -> None:
    assert page.locator(".row").count() < 30
    assert trusts(page) == sorted(trusts(page)), "least trusted first"
    page.evaluate("document.querySelector('#list').scrollTop = 1e9")
    wait_until(page, "document.querySelectorAll('.row').length > 5")
    page.keyboard.press("End")
    expect(page.locator(".row.cursor")).to_have_count(1)
    assert page.locator(".row").count() < 30


def test_sort_filter_and_search(page: Page) -> None:
    page.select_option("#sort", "name")
    wait_for_rows(page, "(rows) => rows.includes('camera-0/clip-0000')")
    page.click("#direction")
    wait_for_rows(page, "(rows) => rows.some((row) => row.startsWith('zz'))")
    first = names(page)[0]
    assert first == NASTY
    row = page.locator(".row").filter(has_text="zz")
    assert row.locator("img[src='x']").count() == 0, "a name is text"
    assert NASTY in row.inner_text()
    page.click("[data-of='people']")
    wait_until(page, "document.querySelector('.row')?.dataset.number !== '0'")
    page.click("[data-of='clips']")
    page.select_option("#flag", "feet_hidden")
    wait_for_rows(page, "(rows) => rows.length > 3 && !rows.some((row) => row.startsWith('zz'))")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("camera-3")
    wait_for_rows(page, "(rows) => rows.length > 3 && rows.every((row) => row.startsWith('camera-3/'))")
    assert "text=camera-3" in page.url
    page.reload()
    wait_until(page, "document.querySelectorAll('.row').length > 3")
    assert all(name.startswith("camera-3/") for name in names(page)), "a reload keeps the choices"
    page.fill("#search", "nothing like it")
    expect(page.locator(".nothing")).to_have_text("Nothing fits these filters.")


def test_a_clip_is_opened_played_and_closed(page: Page) -> None:
    open_nasty(page)
    expect(page.locator(".head h2")).to_have_text(NASTY)
    wait_until(page, "document.querySelector('.player video')?.readyState >= 2")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#now")).to_contain_text("0:00.04 /")
    page.fill("#seek", "5000")
    wait_until(page, "document.querySelector('.player video').currentTime > 0.9")
    page.click("#play")
    wait_until(page, "!document.querySelector('.player video').paused")
    page.click("#close")
    expect(page.locator(".player")).to_be_hidden()
    page.go_back()
    expect(page.locator(".player")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(page.locator(".player")).to_be_hidden()


def open_nasty(page: Page) -> None:
    """Open the clip with videos."""
    page.fill("#search", "zz")
    wait_until(page, "document.querySelectorAll('.row').length === 1")
    page.click(".row")
    expect(page.locator("#play")).to_be_visible()
    page.evaluate("document.activeElement.blur()")


def test_keys_give_verdicts_on_the_clip_and_the_person(page: Page, server: ReviewServer) -> None:
    open_nasty(page)
    for key, verdict in (("a", "accept"), ("w", "needs work"), ("r", "reject")):
        page.keyboard.press(key)
        eventually(page, server.store, [(NASTY, 0, verdict, "")])
        assert page.get_attribute(f".verdict [data-verdict='{verdict}']", "aria-pressed") == "true"
    expect(page.locator(".row .badge")).to_have_text("Rejected")
    page.keyboard.press("Shift+A")
    eventually(page, server.store, [(NASTY, 0, "reject", ""), (NASTY, 8, "accept", "")])
    expect(page.locator("[data-person='8'] .badge")).to_have_text("Accepted")
    page.keyboard.press("r")
    eventually(page, server.store, [(NASTY, 8, "accept", "")])
    page.locator(".of-person [data-verdict='reject']").click()
    eventually(page, server.store, [(NASTY, 8, "reject", "")])
    page.locator(".verdict").first.locator("[data-verdict='needs work']").click()
    eventually(page, server.store, [(NASTY, 0, "needs work", ""), (NASTY, 8, "reject", "")])


def test_notes_are_saved_while_they_are_typed(page: Page, server: ReviewServer) -> None:
    open_nasty(page)
    page.keyboard.press("n")
    page.keyboard.type("left foot slides, <b>ask</b>")
    eventually(page, server.store, [(NASTY, 0, "", "left foot slides, <b>ask</b>")])
    expect(page.locator(".verdict .state").first).to_have_text("Saved")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+N")
    page.keyboard.type("fine")
    page.keyboard.press("Escape")
    eventually(page, server.store, [(NASTY, 0, "", "left foot slides, <b>ask</b>"), (NASTY, 8, "", "fine")])
    page.reload()
    expect(page.locator(".verdict textarea").first).to_have_value("left foot slides, <b>ask</b>")


def test_next_previous_and_going_on_after_a_verdict(page: Page, server: ReviewServer) -> None:
    order = names(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    title = page.locator(".head h2")
    expect(title).to_have_attribute("title", order[0])
    page.keyboard.press("j")
    expect(title).to_have_attribute("title", order[1])
    page.click("#next")
    expect(title).to_have_attribute("title", order[2])
    page.click("#previous")
    expect(title).to_have_attribute("title", order[1])
    page.check("#advance")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    expect(title).to_have_attribute("title", order[2])
    eventually(page, server.store, [(order[1], 0, "accept", "")])
    page.uncheck("#advance")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("k")
    expect(title).to_have_attribute("title", order[1])


def test_verdicts_from_the_list_are_filtered_and_exported(page: Page, server: ReviewServer) -> None:
    first = names(page)[0]
    page.keyboard.press("a")
    eventually(page, server.store, [(first, 0, "accept", "")])
    expect(page.locator("[data-filter='accept'] small")).to_have_text("1")
    page.click("[data-filter='accept']")
    wait_until(page, "document.querySelectorAll('.row').length === 1")
    assert names(page) == [first]
    page.click("[data-filter='none']")
    wait_for_rows(page, f"(rows) => rows.length > 1 && !rows.includes({json.dumps(first)})")
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.click(f"#{kind}")
        text = Path(download.value.path()).read_text()
        assert download.value.suggested_filename == f"verdicts.{kind}"
        assert "accept" in text


def test_new_results_are_found_on_asking_and_keys_and_theme(page: Page, server: ReviewServer) -> None:
    folder = server.store.root / "later"
    write_clip(folder, walker(1))
    page.click("#rescan")
    expect(page.locator("#count")).to_contain_text(f"{COUNT + 2} clips")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    page.click("#rescan")
    expect(page.locator("#count")).to_contain_text(f"{COUNT + 1} clips")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("dialog.keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light", "it is remembered"
    page.click("#theme")


def test_in_a_phones_window_a_clip_is_found_judged_and_left(browser: Browser, server: ReviewServer) -> None:
    for one in said(server.store):
        forget(server.store, one[0], one[1])
    tab = open_tab(browser, size=PHONE)
    page = tab.page
    page.goto(server.url)
    expect(page.locator(".row").first).to_be_visible()
    assert misplaced(page) == []
    page.fill("#search", "zz")
    wait_until(page, "document.querySelectorAll('.row').length === 1")
    page.click(".row")
    expect(page.locator("video").first).to_be_visible()
    expect(page.locator(".verdict").nth(1)).to_be_visible()
    assert misplaced(page) == []
    assert page.locator("#list").is_hidden(), "the clip has the window to itself"
    page.locator(".verdict").first.locator(".choice.accept").click()
    eventually(page, server.store, [(NASTY, 0, "accept", "")])
    page.locator(".verdict textarea").first.fill("by thumb")
    eventually(page, server.store, [(NASTY, 0, "accept", "by thumb")])
    assert misplaced(page) == []
    page.click("#close")
    expect(page.locator(".row .badge.accept")).to_be_visible()
    assert tab.complaints == []
    page.context.close()
