"""Upload files to the hub with its own client, which sends binary files through LFS or Xet."""

from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of httpx or httpx2
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
)

from itr_core.errors import PairscopeError
from ui.publish.contents import SPACE_PARTS, Contents

T = TypeVar("T")


def publish(contents: Contents, repository: str, *, private: bool = False, message: str = "") -> str:
    """Create a repository on the hub, unless it exists, and commit the files; return its address.

    Files that are equal on the hub are not sent again. In a Space, files of the app that no longer exist are
    deleted; other files, and those of models and galleries, stay.

    Args:
        contents: The files.
        repository: ORG/NAME.
        private: Whether a new repository is private.
        message: Of the commit.

    Raises:
        PairscopeError: The hub refuses the name, the token or the files, or cannot be reached.
    """
    api = HfApi()

    def send() -> str:
        kind = contents.kind
        sdk = "gradio" if kind == "space" else None
        url = api.create_repo(
            repository, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk
        )
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(name, file) for name, file in contents.files.items()
        ]
        if kind == "space":
            for name in api.list_repo_files(repository, repo_type=kind):
                if name.partition("/")[0] in SPACE_PARTS and name not in contents.files:
                    operations.append(CommitOperationDelete(name))
        api.create_commit(
            repository, operations, commit_message=message or "Publish with Pairscope", repo_type=kind
        )
        for name, value in contents.variables.items():
            api.add_space_variable(repository, name, value)
        return str(url)

    return _explained(repository, send)


def _explained(repository: str, send: Callable[[], T]) -> T:
    try:
        return send()
    except HFValidationError as error:
        raise PairscopeError(f"{repository!r} names no repository of the hub: write ORG/NAME.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        remedy = ""
        if status in (401, 403):
            remedy = " Log in with `hf auth login`, with a token that may write to this organisation."
        reason = (error.server_message or str(error)).strip().partition("\n")[0]
        raise PairscopeError(f"The hub refuses {repository} ({status}: {reason}).{remedy}") from error
    except (HTTPError, OSError) as error:
        raise PairscopeError(f"The hub cannot be reached to publish {repository}: {error}.") from error
