"""Which models of galleries may be loaded: those of Pairscope, and those that the user has named.

A gallery can come from anywhere, and its manifest names a model: a folder, a hub repository, or weights
of gigabytes. The models that the user names, as an option or to build a gallery, are remembered on this
machine.
"""

from contextlib import suppress
from pathlib import Path
from shlex import quote

from itr_core.encoders.model_specs import split_language
from itr_core.errors import GalleryError
from itr_core.gallery.manifest import Manifest
from itr_core.system.files import cache_dir

_FILE = "named.txt"


def remember_model(spec: str) -> None:
    """Record that the user has named a model."""
    with suppress(OSError):  # without a cache, it must be named every time
        if not _is_named(spec):
            with (cache_dir("models") / _FILE).open("a", encoding="utf-8") as file:
                file.write(f"{_absolute(spec)}\n")


def model_to_load(manifest: Manifest, named: str | None = None) -> str:
    """Return the spec of the model to load for a gallery.

    Args:
        manifest: of the gallery.
        named: the model that the user names now; it replaces the one in the manifest.

    Raises:
        GalleryError: The manifest names a model that is neither shipped with Pairscope nor was ever named by
            the user.
    """
    if named:
        remember_model(named)
        return named
    if not manifest.model.startswith("starter:") and not _is_named(manifest.model):
        raise GalleryError(
            f"The gallery names the model {manifest.model!r}, which is neither shipped with Pairscope nor "
            "was named on this machine before. If you trust its source, name it once: "
            f"--model {quote(manifest.model)}"
        )
    return manifest.model


def _is_named(spec: str) -> bool:
    try:
        named = (cache_dir("models") / _FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return _absolute(spec) in named


def _absolute(spec: str) -> str:
    """Return the spec on one line, with the absolute path of the folder or file that it names, if any.

    Otherwise a name in one working directory would allow another folder in another one.
    """
    spec, language = split_language(spec)
    scheme, colon, rest = spec.partition(":")
    name, slash, file = spec.partition("/")
    if colon and Path(rest).expanduser().exists():
        spec = f"{scheme}:{Path(rest).expanduser().resolve()}"
    elif Path(spec).expanduser().exists():
        spec = f"local-dir:{Path(spec).expanduser().resolve()}"
    elif slash and file.endswith(".safetensors"):
        spec = f"{name}/{Path(file).resolve()}"
    return " ".join(f"{spec}#{language}".splitlines()) if language else " ".join(spec.splitlines())
