"""MkDocs hooks: formulas become MathML when the site is built; pictures of the README join the site."""

import html
import re
from pathlib import Path

from math_core import LatexToMathML
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# What pymdownx.arithmatex (generic) makes of $...$ and of $$...$$.
FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<display>.*?)\\\])</(?P=tag)>',
    re.DOTALL,
)
_LATEX = LatexToMathML()


def mathml(match: re.Match[str]) -> str:
    """Return the MathML of one formula; raise `math_core.LatexError` for a formula that is not LaTeX."""
    display = match["display"] is not None
    source = html.unescape(match["display"] if display else match["inline"])
    converted = _LATEX.convert_with_local_state(source.strip(), displaystyle=display)
    return f'<div class="formula" tabindex="0">{converted}</div>' if display else converted


def on_page_content(content: str, **_: object) -> str:
    """Convert every formula of a page."""
    return FORMULA.sub(mathml, content)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures that the README shows, so that there is one copy of each in the repository."""
    for picture in sorted((ROOT / "assets").glob("*.webp")):
        files.append(File.generated(config, f"assets/{picture.name}", abs_src_path=str(picture)))
    return files
