"""JSON files of strangers: read with bounds, and validated with pydantic before a library sees them.

open_clip, transformers and sentence-transformers do what a configuration says: they import Python files of
the checkpoint, download other repositories and allocate as much memory as it names. So every key is checked
against a list of known ones, and every number against a bound.
"""

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from itr_core.errors import ModelError

MAX_CONFIG_BYTES = 4_000_000  # tokenizer_config.json lists every added token
MAX_TOKENIZER_BYTES = 200_000_000  # 34 MB in SigLIP 2, the largest vocabulary in use

T = TypeVar("T", bound=BaseModel)


class Foreign(BaseModel):
    """Base of all models of foreign files: known keys only, no conversion of types, finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: The file is missing, too large, no JSON, no object, or contains NaN or Infinity.
    """
    content = _read(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path} is damaged: it contains a {type(content).__name__}, not a JSON object.")
    return content


def read_json_list(path: Path) -> list[Any]:
    """Read a JSON list; raises as `read_json`."""
    content = _read(path)
    if not isinstance(content, list):
        raise ModelError(f"{path} is damaged: it contains a {type(content).__name__}, not a JSON list.")
    return content


def _read(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ModelError(f"{path} has {size:,} bytes; at most {MAX_CONFIG_BYTES:,} are read.")
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or missing: {error}.") from error


def validate(model: type[T], content: Any, path: Path) -> T:
    """Validate the content of a file.

    Args:
        model: what the file may contain.
        content: what it contains.
        path: the file, for messages.

    Raises:
        ModelError: The first key that is unknown, missing, of another type or out of bounds.
    """
    try:
        return model.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise ModelError(f"{path}: {_first(error, content)}.") from error


def _first(error: ValidationError | RecursionError, content: Any) -> str:
    if isinstance(error, RecursionError):
        return "values are nested too deeply"
    first = error.errors(include_url=False, include_context=False)[0]
    key = _key(first["loc"], content)
    if first["type"] == "missing":
        return f"it is damaged or no configuration of a model: {first['loc'][-1]} is missing"
    if first["type"] == "extra_forbidden":
        return (
            f"{key} is no setting that Pairscope accepts from a file, because it could run custom code, "
            "download other files or change the model unnoticed. Remove it if the model does not need it"
        )
    value = repr(first["input"])
    return f"{key} = {value if len(value) <= 60 else value[:57] + '...'} is refused: {first['msg']}"


def _key(location: tuple[int | str, ...], content: Any) -> str:
    """Join the keys of a location; pydantic also lists which of several types it tried."""
    keys = []
    for part in location:
        if isinstance(content, dict):
            is_key = part in content
        else:
            is_key = isinstance(content, list) and isinstance(part, int)
        if is_key:
            keys.append(str(part))
            content = content[part]
    return ".".join(keys) or "the content"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
