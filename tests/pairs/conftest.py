"""Small images that tests build sources from."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support import Paint


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """Write an image of one colour to a path below tmp_path; the suffix determines the format."""

    def write(name: str, colour: str = "red") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), colour).save(path)
        return path

    return write
