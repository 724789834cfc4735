"""The pages in a real Chromium: what only a browser shows.

Set PELLUCID_SHOTS to a folder to keep the screenshots.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.app import PAGES
from dashboards.exercises import ordering
from dashboards.launch import command
from dashboards.source import read
from tests.dashboards.studies import write_comparison, write_sheet, write_training

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def address(demo_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the app answers, opened as `pellucid dashboard` opens it, with studies beside."""
    write_sheet(demo_run.parent / "attention", "attention", "pellucid sd attention",
                {"prompts": ["an old chef"], "n": 8, "seed": 0})  # fmt: skip
    write_comparison(demo_run.parent / "compare")
    write_training(demo_run.parent / "faces", (1.0, 0.6, 0.5, 0.8), done=True)
    port = free_port()
    log = tmp_path_factory.mktemp("streamlit") / "log.txt"
    with log.open("w") as stream:
        order = command(demo_run, port, headless=True)
        server = subprocess.Popen(order, cwd=ROOT, stdout=stream, stderr=stream)
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=10)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(150):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                answer.read()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the app did not start: {log.read_text()[-500:]}")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator:
    """A Chromium. It is closed in the end, with what it started."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as one:
        opened = one.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, address: str) -> Iterator:
    """A fresh tab on the gallery; whatever it asks of another machine fails the test."""
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    tab.set_default_timeout(60_000)  # a machine that trains models at the same time is slow
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    ready(tab)
    yield tab
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    outside = [url for url in outside if not url.startswith(address.replace("http", "ws"))]
    tab.close()
    assert not outside, f"the pages asked for {outside}"


def ready(tab) -> None:
    """Wait until the script has run, then see that nothing went wrong."""
    tab.wait_for_selector("h1")
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    assert tab.query_selector("[data-testid=stException]") is None
    assert tab.query_selector("[data-testid=stAlertContentError]") is None


def shoot(tab, name: str) -> None:
    if folder := os.environ.get("PELLUCID_SHOTS"):
        tab.wait_for_timeout(600)  # pictures and charts fade in
        tab.screenshot(path=str(Path(folder) / f"{name}.png"))


def open_page(tab, title: str) -> None:
    tab.get_by_role("link", name=title, exact=True).click()
    heading = "How a diffusion model draws" if title == "Lesson" else title
    tab.get_by_role("heading", name=heading, level=1).wait_for()
    ready(tab)


def test_every_page_opens_by_a_click(page) -> None:
    for name, (_, title, _) in PAGES.items():
        open_page(page, title)
        shoot(page, name)
    # Every picture has a name for those who can't see it.
    assert page.eval_on_selector_all("img:not([alt])", "found => found.length") == 0


def test_studies_are_drawn_on_a_telephone(page, address: str) -> None:
    page.set_viewport_size({"width": 420, "height": 900})
    for name, charts in (("laboratory", 1), ("compare", 12), ("training", 1)):
        page.goto(f"{address}/{name}")
        ready(page)
        page.wait_for_function(
            "n => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n", arg=charts
        )
        unnamed = "found => found.filter(one => !one.alt).length"
        assert page.eval_on_selector_all("[data-testid=stImage] img", unnamed) == 0
        # Nothing sticks out of the screen.
        wide = "() => document.querySelector('[data-testid=stMain]').scrollWidth"
        assert page.evaluate(wide) <= 420
        shoot(page, f"{name}-narrow")


def test_a_blocked_sample_is_a_card_with_words(page) -> None:
    page.get_by_role("radio", name="Guard").or_(page.get_by_text("Guard", exact=True)).first.click()
    page.get_by_text("Withheld").first.wait_for()
    page.locator("[class*=st-key-withheld-]").nth(1).wait_for()  # the script may still be at work
    ready(page)
    cards = page.query_selector_all("[class*=st-key-withheld-]")
    assert len(cards) == 2
    assert all(card.query_selector("img") is None for card in cards)
    shoot(page, "guard")


def test_a_picture_leads_to_its_trace_and_the_address_keeps_it(page, demo_run: Path) -> None:
    name = read(demo_run).traced[1]
    page.get_by_role("link", name="See it drawn").nth(1).click()
    page.get_by_role("heading", name="Trace", level=1).wait_for()
    ready(page)
    assert f"sample={name}" in page.url
    page.reload()
    ready(page)
    assert page.get_by_text("What the prior imagines").count() == 1
    level = page.get_by_text("What it foresees at noise level").inner_text()
    page.get_by_role("button", name=re.compile(r"^On\b")).wait_for()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => !document.body.innerText.includes(before)", arg=level)
    ready(page)
    shoot(page, "trace-unclip")


def test_a_click_on_a_point_shows_its_picture(page, demo_run: Path) -> None:
    open_page(page, "Map")
    page.wait_for_selector(".js-plotly-plot .scatterlayer .trace path.point")
    before = len(page.query_selector_all("[data-testid=stImage]"))
    # The last trace lies on top. Plotly's own layer catches the mouse, so click the place.
    box = page.query_selector_all(".scatterlayer .trace:last-child path.point")[0].bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_text("1 drawn picture").wait_for()
    ready(page)
    assert len(page.query_selector_all("[data-testid=stImage]")) == before + 1
    shoot(page, "map-selected")


def test_the_lesson_can_be_solved_by_hand(page, demo_run: Path) -> None:
    source = read(demo_run)
    picture = source.pictures[source.traced[0]]
    task = ordering(source.trace(picture.id).predicted, picture.seed)
    open_page(page, "Lesson")
    for number in (2, 3):
        page.get_by_role("button", name="Next").click()
        page.get_by_role("heading", name=f"{number}. ").wait_for()
        ready(page)
        shoot(page, f"lesson-{number}")
    for place, letter in enumerate(task.answer, start=1):
        page.get_by_role("combobox", name=f"Guess {letter} is number").click()
        page.get_by_role("option", name=str(place), exact=True).click()
    page.get_by_role("button", name="Check").click()
    page.get_by_text("Early guesses are blurred").wait_for()
    ready(page)
    shoot(page, "lesson-3-solved")
