"""The report card as a picture to share: SVG, and PNG of 1200 x 630 pixels, the size of link previews."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import resvg_py
from jinja2 import Environment, PackageLoader
from PIL import Image, ImageFont

from analysis.report_card.measure import CHANCE, verdict
from itr_core.picturebook.rendering import draw
from itr_core.picturebook.source import scene_of_id

_THUMBNAIL = 112
_LONGEST_MODEL = 48
_templates = Environment(loader=PackageLoader("analysis"), autoescape=True, trim_blocks=True)


def card_svg(card: pd.DataFrame, model: str) -> str:
    """Return a report card as SVG, without scripts and without links to other files.

    Args:
        card: As `report_card` returns it.
        model: Spec of the model, for the title.
    """
    rows = [
        {
            **row,
            "kind": str(kind).capitalize(),
            "verdict": verdict(row["accuracy"], row["low"]),
            "thumbnail": _data_address(draw(scene_of_id(row["image_a"]), _THUMBNAIL)),
        }
        for kind, row in card.to_dict("index").items()
    ]
    shown = model if len(model) <= _LONGEST_MODEL else "…" + model[1 - _LONGEST_MODEL :]
    return _templates.get_template("report_card.svg").render(
        rows=rows, model=shown, chance=CHANCE, questions=int(card["questions"].sum())
    )


def card_png(svg: str, width: int = 1200) -> bytes:
    """Return the SVG of `card_svg` as PNG.

    The letters are those of the font that Pillow contains, so that a machine without fonts draws the same.
    """
    font = ImageFont.load_default(12)
    assert isinstance(font, ImageFont.FreeTypeFont)  # so it is in all wheels of Pillow
    family = font.getname()[0]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "font.ttf"
        file.write_bytes(font.font_bytes)
        return resvg_py.svg_to_bytes(
            svg_string=svg, width=width, font_files=[str(file)], font_family=family, sans_serif_family=family
        )


def _data_address(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode()
