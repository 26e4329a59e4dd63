"""The guides for extensions: each is followed in a copy of the packages, and what it adds is used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from itr_core.methods.base import NEEDS

EXAMPLES = Path(__file__).parent / "examples"
DOCS = Path(__file__).parents[2] / "docs"

Follow = Callable[[str, dict[str, str]], Path]
Run = Callable[..., str]


@pytest.mark.parametrize("guide", ["source", "method", "measure", "tab", "page"])
def test_a_guide_shows_the_files_that_are_tested(guide: str) -> None:
    page = (DOCS / "how-to" / f"add-a-{guide}.md").read_text(encoding="utf-8")
    files = {path.name for path in (EXAMPLES / guide).iterdir() if path.is_file()}
    assert {name for name in files if f'--8<-- "{guide}/{name}"' in page} == files


def test_the_guide_to_methods_names_all_that_a_method_can_need() -> None:
    page = (DOCS / "how-to" / "add-a-method.md").read_text(encoding="utf-8")
    assert [need for need in sorted(NEEDS) if f"`{need}`" not in page] == []


@pytest.mark.slow
def test_add_a_source(follow: Follow, run: Run) -> None:
    packages = follow("source", {"webdataset.py": "itr_core/pairs/", "test_webdataset.py": "tests/pairs/"})
    run("pairscope data export picturebook:test@3 --to folder --out drawn")
    run("cd drawn && for f in *.png; do echo a caption > ${f%.png}.txt; done")
    run("cd drawn && tar cf ../drawn.tar *.png *.txt")
    assert '"captions": 3' in run("pairscope data show webdataset:drawn.tar --json", packages=packages)


@pytest.mark.slow
def test_add_a_method(follow: Follow, run: Run) -> None:
    packages = follow("method", {"vsepp.py": "itr_core/methods/", "test_vsepp.py": "tests/methods/"})
    run(
        "pairscope train --method vsepp+cusa --options margin=0.1 --source picturebook:train@32 "
        "--model starter:infonce --image-features cache --batch-size 16 --max-steps 2 --out run",
        packages=packages,
    )
    assert '"vsepp"' in run("tail -n 1 run/metrics.jsonl")


@pytest.mark.slow
def test_add_a_measure(follow: Follow, run: Run) -> None:
    run("pairscope build picturebook:test@30 --out gallery --no-map")  # measured before the measure existed
    places = {"margin.py": "analysis/geometry/", "test_margin.py": "tests/analysis/geometry/"}
    packages = follow("measure", places)
    run("pairscope analyze gallery --out report.html --csv tables", packages=packages)
    assert "caption_margin" in run("cat tables/geometry.csv")
    assert "Margin of captions" in run("cat report.html")


@pytest.mark.slow
@pytest.mark.ui
@pytest.mark.parametrize(
    ("guide", "places"),
    [
        (
            "tab",
            {
                "recall.py": "ui/web/analysis/tabs/",
                "recall.html": "ui/web/templates/",
                "test_recall_tab.py": "tests/ui/web/",
            },
        ),
        (
            "page",
            {
                "page.py": "ui/web/sources/",
                "sources.html": "ui/web/templates/",
                "test_sources_page.py": "tests/ui/web/",
            },
        ),
    ],
)
def test_add_a_tab_or_a_page(guide: str, places: dict[str, str], follow: Follow) -> None:
    follow(guide, places)  # its own test opens it in a browser
