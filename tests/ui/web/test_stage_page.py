"""The stage in a real browser: edits by pointer and by keyboard, the trail, the address, and bad input."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support import wait_until

pytestmark = pytest.mark.ui

BARS, THINGS, STEPS = ".stage-bars li", ".stage-things button", ".stage-trail li"
CAR = re.compile("a small red car")


def open_stage(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(BARS).first).to_be_visible()


def bars(page: Page) -> list[tuple[str, str, float]]:
    """Return mark, text and score of each caption, from top to bottom."""
    rows = page.locator(BARS).evaluate_all(
        "all => all.map((bar) => ['.stage-mark', '.stage-text', '.stage-score']"
        ".map((name) => bar.querySelector(name).textContent))"
    )
    return [(mark, text, float(score)) for mark, text, score in rows]


def code(page: Page) -> str:
    found = re.search(r"[?&]scene=([^&]*)", page.url)
    return found[1] if found else ""


def left_edge(thing: Locator) -> float:
    return float(thing.evaluate("(node) => node.getBoundingClientRect().x"))


def board(page: Page) -> float:
    return float(page.locator(".stage-board").evaluate("(node) => node.clientWidth"))


@pytest.fixture
def stage(page: Page, app_url: str) -> Page:
    open_stage(page, f"{app_url}/stage")
    return page


def test_captions_are_sorted_and_marked(stage: Page) -> None:
    rows = bars(stage)
    assert [score for *_, score in rows] == sorted((score for *_, score in rows), reverse=True)
    assert {mark for mark, *_ in rows} == {"✓ true", "✗ false"}
    assert ("✓ true", "a sleeping white dog") in [row[:2] for row in rows]
    expect(stage.locator(".stage-rank b")).to_have_text(re.compile(r"^\d+$"))


def test_a_thing_is_dragged_and_the_captions_follow(stage: Page) -> None:
    dog = stage.locator(THINGS).first
    start = dog.bounding_box()
    assert start is not None
    before = start["x"]
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    stage.mouse.move(x, y)
    stage.mouse.down()
    stage.mouse.move(x + 200, y + 10, steps=5)
    expect(stage.locator(".stage-ghost")).to_be_visible()
    stage.mouse.move(x + 330, y + 10, steps=5)
    stage.mouse.up()
    expect(stage.locator(".stage-ghost")).to_be_hidden()
    expect(stage.locator(f"{BARS}[data-text='a dog to the left of a car'] .stage-mark")).to_have_text(
        "✗ false"
    )
    expect(stage.locator(STEPS)).to_have_text(["Start", "Moved the white dog"])  # one drag is one step
    wait_until(lambda: left_edge(dog) - before == pytest.approx(330, abs=5))  # until the last answer


def test_every_edit_can_be_made_with_the_keyboard_and_is_announced(stage: Page) -> None:
    said = stage.locator(".stage-said")
    dog = stage.locator(THINGS).first
    dog.focus()
    before = left_edge(dog)
    for _ in range(3):
        stage.keyboard.press("ArrowRight")
    expect(stage.locator(STEPS)).to_have_text(["Start", "Moved the white dog"])
    expect(said).to_contain_text("Moved the white dog")
    expect(dog).to_be_focused()
    wait_until(lambda: left_edge(dog) - before == pytest.approx(0.06 * board(stage), abs=3))
    stage.keyboard.press("Enter")
    expect(stage.locator(".stage-thing legend")).to_have_text("a sleeping white dog")
    for label, value, result in (
        ("Colour", "black", "Now true: a sleeping black dog"),
        ("State", "running", "No longer true: a sleeping black dog"),
        ("Size", "small", "Now true: a small running black dog"),
        ("Number", "2", "Two dogs instead of one"),
    ):
        stage.get_by_label(label, exact=True).select_option(value)
        expect(said).to_contain_text(result)
    stage.get_by_role("radio", name="night").focus()
    stage.keyboard.press("Space")
    expect(said).to_contain_text("Time: night")
    stage.get_by_label("Place", exact=True).select_option("beach")
    expect(said).to_contain_text("Place: beach")
    stage.get_by_label("Thing to add").select_option("crab")
    stage.get_by_role("button", name="Add", exact=True).press("Enter")
    expect(said).to_contain_text("Added a crab")
    number = stage.locator(THINGS).count()
    stage.locator(THINGS).last.focus()
    stage.keyboard.press("Delete")
    expect(said).to_contain_text("Removed the red crab")
    expect(stage.locator(THINGS)).to_have_count(number - 1)
    assert stage.evaluate("document.activeElement.dataset.thing") == "0"
    stage.keyboard.press("Control+z")
    expect(said).to_contain_text("Undone: Removed the red crab")
    expect(stage.locator(THINGS)).to_have_count(number)


def test_undo_redo_reset_and_back_restore_scenes(stage: Page) -> None:
    first = bars(stage)
    stage.get_by_role("radio", name="night").check()
    expect(stage.locator(STEPS)).to_have_count(2)
    night = code(stage)
    stage.get_by_role("radio", name="rain").check()
    expect(stage.locator(STEPS)).to_have_count(3)
    stage.get_by_role("button", name="Undo").click()
    expect(stage.locator("[aria-current=step]")).to_have_text("Time: night")
    assert code(stage) == night
    stage.get_by_role("button", name="Redo").click()
    expect(stage.locator("[aria-current=step]")).to_have_text("Weather: rain")
    expect(stage.get_by_role("radio", name="rain")).to_be_checked()
    stage.get_by_role("button", name="Reset").click()
    expect(stage.locator("[aria-current=step]")).to_have_text("Reset")
    expect(stage.get_by_role("radio", name="day")).to_be_checked()
    assert bars(stage) == first
    stage.go_back()
    expect(stage.get_by_role("radio", name="rain")).to_be_checked()
    expect(stage.locator("[aria-current=step]")).to_have_text("Weather: rain")


def test_the_trail_has_the_last_ten_edits(stage: Page) -> None:
    for number in range(12):
        time = "night" if number % 2 else "sunset"
        stage.get_by_role("radio", name=time).check()
        expect(stage.locator("[aria-current=step]")).to_have_text(f"Time: {time}")
    expect(stage.locator(STEPS)).to_have_count(11)  # ten edits and the scene before them
    stage.locator(f"{STEPS} button").first.click()
    expect(stage.get_by_role("button", name="Undo")).to_be_disabled()


def test_the_address_restores_everything_in_another_tab(stage: Page, chromium: Browser) -> None:
    stage.get_by_role("radio", name="night").check()
    stage.locator(f"{BARS} button", has_text=CAR).click()
    expect(stage.locator("#stage-caption")).to_have_value("a small red car")
    stage.wait_for_url("**/stage?scene=1.*q=a+small+red+car*")
    expect(stage.locator(".stage-rank")).to_contain_text("a small red car")
    rows, picture = bars(stage), stage.locator(".stage-picture").get_attribute("src")
    rank = stage.locator(".stage-rank").inner_text()
    other = chromium.new_page()
    open_stage(other, stage.url)
    assert bars(other) == rows
    assert other.locator(".stage-picture").get_attribute("src") == picture
    assert other.locator(".stage-rank").inner_text() == rank
    other.get_by_role("radio", name="sunset").check()
    expect(other.locator(STEPS)).to_have_count(2)
    other.close()
    assert bars(stage) == rows
    stage.reload()
    expect(stage.locator(STEPS)).to_have_count(2)  # the trail, too
    assert bars(stage) == rows


def test_a_written_caption_is_ranked_and_judged(stage: Page) -> None:
    stage.get_by_label("Your caption").fill("two dogs")
    stage.keyboard.press("Enter")
    expect(stage.locator(".stage-rank")).to_contain_text("“two dogs”")
    expect(stage.locator(".stage-rank .stage-mark")).to_have_text("✗ false")
    stage.get_by_label("Your caption").fill("<b>${7*7}</b> {{x}}")
    stage.get_by_role("button", name="Rank it").click()
    expect(stage.locator(".stage-rank")).to_contain_text("“<b>${7*7}</b> {{x}}”")
    expect(stage.locator(".stage-rank .stage-mark")).to_have_text("? truth unknown for this wording")


@pytest.mark.parametrize(
    "address",
    [
        "scene=0.moon",
        "scene=<img+src=x+onerror=alert(1)>",
        "item=../../etc/passwd",
        f"scene={'9' * 3000}",
        "g=moon",
    ],
)
def test_a_hostile_address_shows_a_note_and_the_first_scene(page: Page, app_url: str, address: str) -> None:
    page.goto(f"{app_url}/stage?{address}")
    expect(page.locator(".stage-note")).to_be_visible()
    expect(page.locator(THINGS)).to_have_count(2)
    expect(page.locator("img[src=x]")).to_have_count(0)


def test_an_impossible_edit_says_why(stage: Page) -> None:
    stage.locator(THINGS).nth(1).focus()
    for key in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowDown"):
        stage.keyboard.press(key)
    expect(stage.locator(".stage-note")).to_contain_text("would hide too much of each other")
    expect(stage.locator(".stage-said")).to_contain_text("would hide too much of each other")


def test_an_edit_without_an_answer_is_sent_again(stage: Page) -> None:
    before = code(stage)
    stage.route(re.compile("/component_server"), lambda route: route.fulfill(json=None), times=1)
    stage.get_by_role("radio", name="night").check()
    expect(stage.locator(".stage-note")).to_contain_text("Trying again")
    expect(stage.locator(STEPS)).to_have_count(2)
    expect(stage.get_by_role("radio", name="night")).to_be_checked()
    assert code(stage) != before


def test_leaving_while_an_answer_is_on_its_way_changes_nothing_elsewhere(stage: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    requests = re.compile("/component_server")
    stage.route(requests, hold, times=1)
    with stage.expect_request(requests):
        stage.get_by_role("radio", name="night").check()
    stage.wait_for_timeout(100)
    stage.evaluate("history.pushState(null, '', '/stage?item=gallery-000004.png')")
    stage.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    held[0].continue_()
    expect(stage.locator(THINGS)).to_have_count(4)
    expect(stage.get_by_role("radio", name="day")).to_be_checked()
    assert "item=gallery-000004.png" in stage.url
