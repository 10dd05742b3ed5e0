"""A headless Chromium for the tests of the pages: Debian's, driven by playwright, with 3D in software."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE_MS = 180_000
"""How long a page may take to come to a state: the machines differ tenfold, and some are busy."""

PHONE = (390, 844)
"""Width and height of a phone's window, CSS px."""

_MISPLACED = """[...document.querySelectorAll('body *')].filter((one) => {
    const box = one.getBoundingClientRect();
    const worded = one.matches('button:not(.flag, .person)') && one.textContent.trim();
    return box.width > 0 && (box.left < -0.5 || box.right > innerWidth + 0.5 || (worded && box.height > 40));
  }).map((one) => `${one.tagName} #${one.id} .${one.className} ${one.textContent.slice(0, 30)}`)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; skip the test where there is none."""
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip("no chromium here: as root `make test` installs it, else apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS, timeout=PATIENCE_MS)
        except Error as error:
            pytest.skip(f"chromium does not start here: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@dataclass
class Tab:
    """A page and what it complained of: errors of scripts, and warnings or worse on its console."""

    page: Page
    complaints: list[str] = field(default_factory=list)


def open_tab(browser: Browser, *, theme: str = "dark", size: tuple[int, int] = (1280, 900)) -> Tab:
    """Return a fresh tab with storage of its own; ``theme`` is what the system prefers."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light" if theme == "light" else "dark",
        accept_downloads=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(context.new_page())
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("console", lambda said: _note(tab, said) if said.type in ("warning", "error") else None)
    return tab


def _note(tab: Tab, said: ConsoleMessage) -> None:
    tab.complaints.append(f"{said.text} ({said.location['url']})")


def wait_until(page: Page, test: str) -> None:
    """Wait until ``test``, an expression in JavaScript, holds; playwright's own way needs ``eval`` in the page, which
    the review's policy forbids.
    """
    for _ in range(PATIENCE_MS // 50):
        if page.evaluate(test):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {test}")


def misplaced(page: Page) -> list[str]:
    """Return what reaches beyond the window's sides, and buttons whose words take two lines."""
    return page.evaluate(_MISPLACED)
