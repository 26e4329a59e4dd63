"""How a report card is shown."""

import re
from base64 import b64decode
from io import BytesIO

import pandas as pd
from PIL import Image

from ui.web.learn.report_card import card_html


def test_a_card_can_be_read_and_downloaded() -> None:
    row = {
        "questions": 100, "accuracy": 0.456, "low": 0.4, "high": 0.51, "both": 0.2,
        "text_a": "a dog in a meadow", "text_b": "no dog in a meadow",
        "image_a": "test-000001.png", "image_b": "test-000002.png",
    }  # fmt: skip
    card = pd.DataFrame.from_dict({"negation": row}, orient="index").rename_axis("kind")
    shown = card_html(card, 'hub/<b>"model"</b>')
    table = re.sub(r"<[^>]*>", " ", shown)
    for text in ("46 %", "40 to 51 %", "does not hear it", "no dog in a meadow"):
        assert text in table
    assert "<b>" not in shown
    files = dict(re.findall(r'download="[^"]*\.(\w+)" href="data:[^,]*,([^"]*)"', shown))
    assert files.keys() == {"png", "svg", "csv"}
    with Image.open(BytesIO(b64decode(files["png"]))) as picture:
        assert picture.width == 1200
    assert b"hub/&lt;b&gt;" in b64decode(files["svg"])
    assert pd.read_csv(BytesIO(b64decode(files["csv"])))["accuracy"].tolist() == [0.456]
