"""Colours of plots are visible on light and dark pages and differ for colour-blind readers."""

import itertools

import numpy as np
import pytest

from analysis.figures.style import COLOURS, figure, looks

# Machado, Oliveira & Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009
EYES = {
    "normal": np.eye(3),
    "deuteranope": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanope": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    f = np.cbrt(TO_XYZ @ np.clip(light, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eye", EYES)
def test_any_two_colours_differ_for_every_kind_of_vision(eye: str) -> None:
    seen = {colour: lab(np.array(EYES[eye]) @ linear(colour)) for colour in COLOURS}
    near = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(COLOURS, 2)}
    assert min(near.values()) > 28, min(near, key=near.__getitem__)


@pytest.mark.parametrize("ground", ["#ffffff", "#1c1917"])
def test_colours_contrast_with_light_and_dark_backgrounds(ground: str) -> None:
    for colour in COLOURS:
        dark, light = sorted(float(TO_XYZ[1] @ linear(c)) for c in (colour, ground))
        assert (light + 0.05) / (dark + 0.05) > 2.9, colour


def test_styles_differ_in_symbol_up_to_7_and_never_repeat_up_to_42() -> None:
    few, many = looks("abcdefg"), looks(str(i) for i in range(42))
    assert len({look.symbol for look in few.values()}) == 7
    assert len({(look.colour, look.symbol) for look in many.values()}) == 42
    assert few["a"].faint(0.5) == "rgba(13, 148, 136, 0.5)"


def test_plots_load_no_fonts_and_have_a_transparent_background() -> None:
    for dark in (False, True):
        drawn = figure(dark=dark).to_json()
        assert "system-ui" in drawn
        assert "http" not in drawn
        assert figure(dark=dark).layout.template.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
    assert figure(dark=True).layout.template.layout.font.color != figure().layout.template.layout.font.color
