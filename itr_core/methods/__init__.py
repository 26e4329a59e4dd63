"""Training objectives, one file per paper; `METHODS` maps their names to classes."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.ascl import AsCL
from itr_core.methods.base import Method, Setup
from itr_core.methods.coder import CODER
from itr_core.methods.combined import Combined
from itr_core.methods.crcgs import CRCGS
from itr_core.methods.cusa import CUSA
from itr_core.methods.infonce import InfoNCE
from itr_core.methods.siglip import SigLIP

METHODS: dict[str, type[Method]] = {
    "ascl": AsCL,
    "coder": CODER,
    "crcgs": CRCGS,
    "cusa": CUSA,
    "infonce": InfoNCE,
    "siglip": SigLIP,
}


def make_method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """Create an objective such as `ascl`, or a combination such as `ascl+cusa`.

    Args:
        name: a name of `METHODS`, or several joined by +.
        options: option -> value; each option is passed to all members that have it. `preset` names one of
            the `presets` of a member; its options apply where no other value is given.

    Raises:
        ModelError: an unknown method, preset or option, an option of another type than its default, or a
            value outside its range.
    """
    known = {part: _options(part) for part in _parts(name)}
    options = _with_preset(name, options or {})
    for option, value in options.items():
        defaults = [own[option] for own in known.values() if option in own]
        if not defaults:
            names = {option for own in known.values() for option in own}
            raise ModelError(f"The method {name!r} has no option {option!r}.{did_you_mean(option, names)}")
        number = isinstance(defaults[0], float) and isinstance(value, int) and not isinstance(value, bool)
        if not number and type(value) is not type(defaults[0]):
            raise ModelError(f"{option}={value!r}: the method {name!r} needs a value like {defaults[0]!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelError(f"{option}={value}: the method {name!r} needs a finite number.")
    members = {
        part: METHODS[part](**{option: value for option, value in options.items() if option in own})
        for part, own in known.items()
    }
    return Combined(members) if len(members) > 1 else next(iter(members.values()))


def preset_needs_labels(name: str, options: Mapping[str, Any]) -> bool:
    """Whether the option `preset` names a setting for labelled data, such as CRCGS's "coco"."""
    members = (METHODS[part] for part in _parts(name) if options.get("preset") in METHODS[part].presets)
    return any("labels" in member.needs for member in members)


def _parts(name: str) -> list[str]:
    parts = name.split("+")
    for part in parts:
        if part not in METHODS:
            raise ModelError(f"Unknown method {part!r}.{did_you_mean(part, METHODS)}")
    if len(set(parts)) < len(parts):
        raise ModelError(f"The method {name!r} contains a part twice.")
    return parts


def _with_preset(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the option `preset` by the options that it stands for."""
    if "preset" not in options:
        return options
    presets = {preset: own for part in _parts(name) for preset, own in METHODS[part].presets.items()}
    given = dict(options)
    preset = given.pop("preset")
    if not presets:
        raise ModelError(f"preset={preset!r}: the method {name!r} has no presets. Leave preset out.")
    if not isinstance(preset, str) or preset not in presets:
        raise ModelError(f"preset={preset!r}: no such preset.{did_you_mean(str(preset), presets)}")
    return {**presets[preset], **given}


def _options(part: str) -> dict[str, Any]:
    """Return the options of a method with their defaults."""
    parameters = inspect.signature(METHODS[part].__init__).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


__all__ = [
    "CODER", "CRCGS", "CUSA", "METHODS", "AsCL", "Combined", "InfoNCE", "Method", "Setup", "SigLIP",
    "make_method", "preset_needs_labels",
]  # fmt: skip
