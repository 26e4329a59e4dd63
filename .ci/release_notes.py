"""Print the section of CHANGELOG.md about the version of a tag: `python .ci/release_notes.py v0.2.0`.

Fails unless pyproject.toml and CITATION.cff have that version and the section is there.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release_notes(tag: str, root: Path = ROOT) -> str:
    """Return the notes of the version that `tag` names.

    Args:
        tag: `v` and a version, such as `v0.2.0`.
        root: the checkout.

    Returns:
        Markdown without the heading of the section.

    Raises:
        ValueError: saying which file is not about this version.
    """
    version = tag.removeprefix("v")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (.+)$", citation, re.MULTILINE)
    if tag != f"v{project['version']}":
        raise ValueError(f"The tag is {tag}, but pyproject.toml has version {project['version']}.")
    if cited is None or cited[1] != version:
        raise ValueError(f"CITATION.cff has version {cited and cited[1]}, not {version}.")
    _, *sections = re.split(r"^## ", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for section in sections:
        heading, _, text = section.partition("\n")
        if heading.startswith(f"[{version}]"):
            return text.strip()
    raise ValueError(f"CHANGELOG.md has no section '## [{version}]'.")


if __name__ == "__main__":
    try:
        print(release_notes(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
