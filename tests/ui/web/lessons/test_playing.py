"""The lessons in a browser: every step of every lesson, answers, and a teacher's link."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from ui.web.learn.panel import LONGEST_TEXT
from ui.web.lessons.lesson import CONTENT, ORDER, Action, Lesson, Range, read_lesson

pytestmark = pytest.mark.ui

SLIDE = """(input, end) => {
  input.value = input[end];
  input.dispatchEvent(new Event('input', {bubbles: true}));
  input.dispatchEvent(new Event('change', {bubbles: true}));
}"""


@pytest.fixture(scope="module")
def lessons(chromium: Browser, app_url: str) -> Iterator[Page]:
    """Return one page for all lessons; errors of its scripts fail the test that caused them."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{app_url}/learn?open=lesson-{ORDER[0]}")
    yield page
    page.close()
    assert faults == []


def act(control: Locator, action: Action) -> None:
    """Do what an action asks for, with its control."""
    until = action.until
    (bound,) = [each for each in until.values() if isinstance(each, Range)][:1] or [Range(most=0)]
    if control.get_attribute("type") == "range":
        control.evaluate(SLIDE, "max" if bound.least is not None or "full" in until else "min")
    elif control.get_attribute("type") == "text":
        control.fill("a red car <b>at night</b>")
        control.press("Enter")
    elif control.evaluate("each => each.localName") == "button":
        control.click()
    elif "cells" in until:
        control.locator(f"[value={until['cells']}]").check()
    elif until.get("caption") == "shortest" or until.get("own"):
        control.get_by_role("button").nth(1 if until.get("own") else 0).click()
    elif until.get("clicked") or until.get("caption"):
        control.get_by_role("button").last.click()
    else:
        control.get_by_role("button").nth(1).click()


def play(page: Page, name: str, lesson: Lesson) -> None:
    panel = page.locator(f"#learn-lesson-{name}")
    tool = page.locator(f"#learn-{lesson.tool}") if lesson.tool == "matrix" else panel
    following = panel.get_by_role("button", name="Next", exact=True)
    for number, step in enumerate(lesson.steps, 1):
        expect(panel.locator("h3")).to_contain_text(f"Step {number} of {len(lesson.steps)}")
        expect(following).to_be_disabled()
        if step.ask:
            panel.get_by_role("radio").first.check()
            panel.locator("button.answer").click()
        if step.act:
            control = tool.locator(step.act.control)
            expect(tool.locator(f"{step.act.control}.lesson-control")).to_be_visible()
            expect(panel.locator(".lesson-after")).to_be_empty()
            act(control, step.act)
        expect(panel.locator(".lesson-after")).not_to_be_empty()
        if number < len(lesson.steps):
            following.click()
    expect(following).to_be_hidden()


@pytest.mark.parametrize("name", ORDER)
def test_a_lesson_can_be_played_to_its_end(lessons: Page, app_url: str, name: str) -> None:
    lesson = read_lesson(CONTENT / f"{name}.yaml")
    lessons.goto(f"{app_url}/learn?open=lesson-{name}")
    play(lessons, name, lesson)


def test_answers_are_kept_downloaded_and_deleted(lessons: Page, app_url: str, tmp_path: Path) -> None:
    name = ORDER[2]
    lesson = read_lesson(CONTENT / f"{name}.yaml")
    lessons.goto(f"{app_url}/learn?open=lesson-{name}")
    panel = lessons.locator(f"#learn-lesson-{name}")
    expect(panel.locator("h3")).to_contain_text("Step")
    if panel.locator("h3").inner_text().startswith("Step 1"):  # this test runs alone
        play(lessons, name, lesson)
    expect(panel.locator("h3")).to_contain_text("check")  # where the learner was
    panel.get_by_text("Your answers").click()
    with lessons.expect_download() as download:
        panel.get_by_role("button", name="Download as CSV").click()
    download.value.save_as(tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["lesson"] == name]
    asked = [step.ask for step in lesson.steps if step.ask]
    assert [row["question"] for row in rows] == [ask.question for ask in asked]
    assert [row["answer"] for row in rows] == [ask.options[0] for ask in asked]
    assert [row["correct"] for row in rows] == [str(int(ask.right == 1)) for ask in asked]
    panel.get_by_role("button", name="Delete the answers of all lessons").click()
    expect(panel.locator("h3")).to_contain_text("Step 1")
    lessons.reload()
    expect(panel.locator("h3")).to_contain_text("Step 1")


def test_a_teachers_link_fixes_the_seed_and_hides_controls(lessons: Page, app_url: str) -> None:
    name = ORDER[0]
    panel = lessons.locator(f"#learn-lesson-{name}")
    pictures = panel.locator(".picker img")
    lessons.goto(f"{app_url}/learn?open=lesson-{name}")
    usual = pictures.first.get_attribute("src")
    panel.get_by_text("A link for a class").click()
    panel.get_by_label("Seed").fill("3")
    panel.get_by_label("the button Back").check()
    panel.get_by_label("this form").check()
    link = panel.locator(".link").inner_text()
    assert link.endswith(f"/learn?open=lesson-{name}&seed=3&hide=back,teacher")
    lessons.goto(link)
    expect(panel.locator("h3")).to_be_visible()
    expect(pictures.first).not_to_have_attribute("src", str(usual))
    expect(panel.get_by_role("button", name="Back", exact=True)).to_be_hidden()
    expect(panel.get_by_text("A link for a class")).to_be_hidden()
    expect(panel.get_by_role("button", name="Start again", exact=True)).to_be_visible()


def test_a_wrong_link_says_what_is_wrong(lessons: Page, app_url: str) -> None:
    lessons.goto(f"{app_url}/learn?open=lesson-{ORDER[0]}&seed=<b>1</b>&hide=everything")
    problem = lessons.locator(f"#learn-lesson-{ORDER[0]} .lesson-problem")
    expect(problem).to_contain_text("seed=<b>1</b>: the seed must be a whole number from 0 to 9999.")
    expect(problem).to_contain_text("hide=everything: what can be hidden is list, back")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panels_pass_the_checks_of_axe(
    chromium: Browser, app_url: str, scheme: Literal["light", "dark"]
) -> None:
    page = chromium.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    for panel, ready in {
        "lesson-soft-labels": ".labels-bars li",
        "lesson-dictionaries": ".queue-bars li",
        "daily": ".daily .task:not(:empty)",
        "report-card": "#report-card-test",
    }.items():
        page.goto(f"{app_url}/learn?open={panel}")
        expect(page.locator(ready).first).to_be_visible()
        page.wait_for_timeout(1000)  # until colours that change have changed
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
        assert found.violations_count == 0, f"{panel}: {found.generate_report()}"
    page.close()


@pytest.mark.parametrize("nothing", [True, False])
def test_a_server_that_does_not_answer_is_named_below_own_words(
    page: Page, app_url: str, nothing: bool
) -> None:
    page.goto(f"{app_url}/learn?open=lesson-dual-encoder")
    words = page.get_by_label("Your own words")
    expect(words).to_have_attribute("maxlength", str(LONGEST_TEXT))
    page.route("**/component_server/**", lambda route: route.fulfill(json=None) if nothing else route.abort())
    words.fill("a red car")
    words.press("Enter")
    expect(page.locator("#learn-lesson-dual-encoder .tool-note")).to_contain_text("did not answer")
