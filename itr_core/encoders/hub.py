"""Model repositories of the Hugging Face hub: single files of one commit, checked against their SHA-256."""

import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
)

from itr_core.errors import ModelError, reason_of
from itr_core.system.files import sha256

_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class Repository:
    """A model repository, `ORG/REPO` or `ORG/REPO@REVISION` (a branch, a tag or a commit; default: main).

    All files come from one commit: that of the first file that is opened.

    Raises:
        ModelError: The name is not of this form.
    """

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ModelError(f"{name!r} names no repository of the hub; write ORG/REPO or ORG/REPO@REVISION.")
        self.name, _, self._revision = name.partition("@")

    def __str__(self) -> str:
        """Return the name with the commit, `ORG/REPO@COMMIT`, once a file has been opened."""
        return f"{self.name}@{self._revision}" if self._revision else self.name

    def find(self, name: str) -> Path | None:
        """Download a file, or find it in the cache; None if the repository does not have it.

        Raises:
            ModelError: There is no network, or no such repository or revision.
        """
        try:
            path = Path(hf_hub_download(self.name, name, revision=self._revision or None))
        except LocalEntryNotFoundError as error:
            if constants.is_offline_mode():
                return None
            raise self._unreachable(name, error) from error
        except EntryNotFoundError:
            return None
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise self._unreachable(name, error) from error
        commit = path.parents[name.count("/")].name
        if _COMMIT.fullmatch(commit):
            self._revision = commit
        return path

    def weights(self, names: Iterable[str]) -> Path | None:
        """Return the first of several files of weights that exists, None if there is none.

        The hub names large files by their SHA-256. It is compared with the bytes in the cache.
        """
        path = next(filter(None, map(self.find, names)), None)
        if path is not None:
            recorded = path.resolve().name
            if _SHA256.fullmatch(recorded) and sha256(path) != recorded:
                raise ModelError(f"The cached file {path} is damaged. Delete it, and it is downloaded again.")
        return path

    def _unreachable(self, name: str, error: Exception) -> ModelError:
        return ModelError(
            f"Cannot download {name} of the hub repository {self}: {reason_of(error)} (check name and "
            "network, or download the files and use local-dir:PATH)."
        )
