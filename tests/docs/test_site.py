"""The site builds without warnings and without the network; its generated parts are current and complete."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from itr_core.evaluation.protocols import PROTOCOLS
from itr_core.methods import METHODS
from itr_core.pairs import _SOURCES
from itr_core.picturebook.splits import SPLITS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


class Resources(HTMLParser):
    """Collects what a browser loads with a page: scripts, styles, pictures, fonts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of one tag; links that are only followed by a click do not count."""
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source") and named.get("src"):
            self.found.append(str(named["src"]))
        if tag == "link" and named.get("rel") in ("stylesheet", "icon", "preconnect", "preload"):
            self.found.append(str(named["href"]))


def test_generated_parts_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    foreign = []
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert resources.found, page
        foreign += [f"{page.name}: {url}" for url in resources.found if "//" in url]
    styles = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    foreign += [url for sheet in styles for url in re.findall(r"url\([\"']?(https?:[^)]*)", sheet)]
    assert foreign == []


def test_every_formula_is_mathml(site: Path) -> None:
    page = (site / "explanation" / "methods" / "index.html").read_text(encoding="utf-8")
    assert page.count("<math") > 50
    raw = [path for path in site.rglob("*.html") if 'class="arithmatex"' in path.read_text(encoding="utf-8")]
    assert raw == []


def test_the_search_index_is_part_of_the_site(site: Path) -> None:
    assert "hardest negative" in (site / "search" / "search_index.json").read_text(encoding="utf-8")


def test_the_architecture_names_every_package() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    parts = [
        path.parent for package in ("itr_core", "analysis") for path in ROOT.glob(f"{package}/*/__init__.py")
    ]
    parts += [path for path in ROOT.glob("itr_core/*.py") if path.stem != "__init__"]
    assert [
        part.name for part in parts if f"`{part.name}`" not in page and f"`{part.name}/`" not in page
    ] == []


def test_the_pages_name_everything_there_is() -> None:
    specs = (DOCS / "reference" / "sources-and-models.md").read_text(encoding="utf-8")
    starters = {path.parent.name for path in (ROOT / "assets" / "models").glob("*/open_clip_config.json")}
    assert [name for name in _SOURCES if f"`{name}" not in specs] == []
    assert [name for name in (*SPLITS, *starters) if f"`{name}`" not in specs] == []
    evaluate = (DOCS / "how-to" / "evaluate.md").read_text(encoding="utf-8")
    assert [name for name in PROTOCOLS if f"| `{name}` |" not in evaluate] == []
    methods = (DOCS / "explanation" / "methods.md").read_text(encoding="utf-8")
    assert [name for name in METHODS if f"{{ #{name} }}" not in methods] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"])
def test_links_of_the_repository_lead_somewhere(name: str) -> None:
    file = ROOT / name
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []
