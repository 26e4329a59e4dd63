"""The game behind the picture of the day, and the game in a browser."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from analysis.picture_of_the_day import FIRST_DAY, hidden_row
from ui.web.boundary.served import thumbnail_url
from ui.web.daily.panel import DailyGame
from ui.web.galleries import Galleries


@pytest.fixture(scope="module")
def galleries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Galleries]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAIRSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        galleries = Galleries(["picturebook:gallery@12"], None)
        galleries.searcher("picturebook", timeout=60)
        yield galleries


@pytest.fixture
def game(galleries: Galleries) -> DailyGame:
    return DailyGame(galleries)


def test_the_address_is_sent_only_when_it_is_found_or_given_up(galleries: Galleries, game: DailyGame) -> None:
    gallery = galleries.searcher("picturebook").gallery
    addresses = [thumbnail_url(gallery.path / each) for each in gallery.items["thumbnail"]]
    ids = gallery.items["image_id"].tolist()
    day_of = {hidden_row(day, ids): day.isoformat() for day in (FIRST_DAY + timedelta(n) for n in range(200))}
    assert len(day_of) == len(gallery)
    for row, day in day_of.items():
        answers = [game.start(day)]
        for words in ("a ship at night", "a dog", "snow", "two cats on a sofa"):
            found = game.guess([day, words])
            assert found["rank"] > 1 or found["answer"]
            answers += [found] if found["rank"] > 1 else []
        assert len(answers) > 2
        assert addresses[row] not in json.dumps(answers)
        solved = game.guess([day, gallery.items["captions"][row][-1]])
        assert solved["rank"] == 1
        assert all(true for _, true in solved["facts"])
        assert solved["answer"] == game.reveal(day)["answer"]
        assert solved["answer"]["url"] == addresses[row]


def test_without_a_day_the_game_is_that_of_today(game: DailyGame) -> None:
    today = game.start("")["today"]
    assert game.start("")["day"] == today
    assert game.reveal("") == game.reveal(today)


def test_the_same_day_is_the_same_game(game: DailyGame) -> None:
    days = [game.reveal(day)["answer"]["item"] for day in ("2026-01-01", "2026-01-02", "2026-01-01")]
    assert days[0] == days[2]


DAY = "2026-01-02"
"""A day whose picture the words of the browser tests do not find."""
LATER = (datetime.now(UTC).date() + timedelta(2)).isoformat()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([LATER, "a dog"], "until today"),
        (["1999-01-01", "a dog"], "from 2026-01-01"),
        (["<script>", "a dog"], "Write a day as 2026-01-31"),
        ([None, "   "], "The query is empty"),
        (["", "x" * 1001], "1001 characters"),
        (["", 7], "A guess is a day and a text"),
        ("a dog", "A guess is a day and a text"),
    ],
)
def test_wrong_guesses_get_a_message(game: DailyGame, asked: Any, message: str) -> None:
    assert message in game.guess(asked)["error"]


def test_the_game_fits_any_text(game: DailyGame) -> None:
    for words in ("\0", "<img src=x onerror=alert(1)>", "🐕🏖️", "שלום"):
        assert {"rank", "error"} & game.guess(["", words]).keys()


@pytest.mark.ui
def test_a_game_is_kept_shared_and_given_up(page: Page, app_url: str, tmp_path: Path) -> None:
    sent: list[str] = []
    page.on("response", lambda r: sent.append(r.text()) if "component_server" in r.url else None)
    page.goto(f"{app_url}/learn?open=daily&day={DAY}")
    expect(page.locator(".daily .task")).to_contain_text("80 pictures")
    box = page.get_by_label("Your description")
    for count, words in enumerate(("<b>a red car</b>", "zebra"), 1):
        box.fill(words)
        box.press("Enter")
        expect(page.locator(".daily-guesses li")).to_have_count(count)
    expect(page.locator(".daily-guesses li").last).to_contain_text("<b>a red car</b>")
    page.reload()
    expect(page.locator(".daily-guesses li")).to_have_count(2)
    before = "".join(sent)
    page.get_by_role("button", name="Give up and see it").click()
    image = page.locator(".daily-hidden img")
    expect(image).to_be_visible()
    assert str(image.get_attribute("src")) not in before
    expect(page.locator(".daily-share")).to_contain_text("not found with 2 guesses")
    expect(page.get_by_role("heading", name="This was the picture")).to_be_focused()
    page.goto(f"{app_url}/learn?open=daily&day=2999-01-01")
    expect(page.locator(".daily-note")).to_contain_text("until today")


@pytest.mark.ui
def test_two_tabs_play_the_same_game(chromium: Browser, app_url: str) -> None:
    visitor = chromium.new_context()
    one, other = visitor.new_page(), visitor.new_page()
    for tab in (one, other):
        tab.goto(f"{app_url}/learn?open=daily&day={DAY}")
        expect(tab.locator(".daily .task")).to_contain_text("80 pictures")
    for count, tab in enumerate((one, other, one), 1):
        box = tab.get_by_label("Your description")
        box.fill("zebra")
        box.press("Enter")
        for each in (one, other):
            expect(each.locator(".daily-guesses li")).to_have_count(count)
    visitor.close()
