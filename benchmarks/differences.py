"""Compare two JSON values to the last digit, and say where they differ."""

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def renamed(value: Json, keys: Mapping[str, str], texts: Mapping[str, Mapping[str, str]]) -> Json:
    """Return the value under new names.

    Args:
        value: any JSON value.
        keys: old -> new, for whole keys and for ends of keys after an underscore, as in `exact_t2i_NAME`.
        texts: new key -> old text -> new text, for the values of that key.
    """
    if isinstance(value, list):
        return [renamed(inner, keys, texts) for inner in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Json] = {}
    for old, inner in value.items():
        key = _new_name(old, keys)
        new_texts = texts.get(key, {})
        result[key] = new_texts.get(inner, inner) if isinstance(inner, str) else renamed(inner, keys, texts)
    return result


def _new_name(key: str, keys: Mapping[str, str]) -> str:
    for old, new in keys.items():
        if key == old or key.endswith(f"_{old}"):
            return key.removesuffix(old) + new
    return key


def without(value: Json, keys: Collection[str]) -> Json:
    """Return the value without these keys, at any depth."""
    if isinstance(value, dict):
        return {key: without(inner, keys) for key, inner in value.items() if key not in keys}
    return [without(inner, keys) for inner in value] if isinstance(value, list) else value


def differences(before: Json, after: Json, path: str = "") -> Iterator[str]:
    """Yield a line for every difference: its path, and both values.

    Numbers are the same if all their digits are: 1 and 1.0 differ, NaN and NaN do not. The order of keys is
    of no account, that of lists is. Of lists of different lengths, the items that only one of them holds are
    listed.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            here = f"{path}.{key}" if path else key
            if key not in after:
                yield f"{here}: missing after, was {_short(before[key])}"
            elif key not in before:
                yield f"{here}: new after, is {_short(after[key])}"
            else:
                yield from differences(before[key], after[key], here)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{path}: {len(before)} items before, {len(after)} after"
            yield from (f"{path}: missing after: {_short(item)}" for item in before if item not in after)
            yield from (f"{path}: new after: {_short(item)}" for item in after if item not in before)
        else:
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from differences(one, other, f"{path}[{index}]")
    elif type(before) is not type(after) or repr(before) != repr(after):
        yield f"{path}: {_short(before)} before, {_short(after)} after"


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
