"""`pairscope publish` and galleries of the hub, against a stand-in for the hub's API (see hub_stand_in)."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from itr_core import Gallery, load_encoder, load_pairs
from itr_core.errors import GalleryError, PairscopeError
from itr_core.gallery.hub import local_gallery
from tests import hub_stand_in as stand_in
from ui.publish import gallery_contents, model_contents, space_contents

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("galleries") / "drawings"
    Gallery.build(load_pairs("picturebook:gallery@4"), load_encoder("starter:infonce"), folder)
    return folder


@pytest.fixture
def hub() -> Iterator[Any]:
    with stand_in.served_hub() as server:
        yield server


def run(
    hub: Any, tmp_path: Path, *command: str, token: str = stand_in.TOKEN
) -> subprocess.CompletedProcess[str]:
    settings = {
        "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0", "PAIRSCOPE_CACHE": str(tmp_path / "cache"), "COLUMNS": "200",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def publish(hub: Any, tmp_path: Path, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    code = "from ui.cli import main; main()"
    return run(hub, tmp_path, "-c", code, "publish", *arguments, **options)


def test_a_published_gallery_is_downloaded_whole_and_at_one_commit(
    hub: Any, gallery: Path, tmp_path: Path
) -> None:
    sent = publish(hub, tmp_path, "gallery", str(gallery), "ann/drawings")
    assert sent.returncode == 0, sent.stderr
    assert "make sure that you may publish" in sent.stderr
    files = hub.repositories["datasets/ann/drawings"]
    assert files["manifest.json"] == (gallery / "manifest.json").read_bytes()
    assert b"4 pictures" in files["README.md"]
    files["secret.bin"] = b"\0"
    commit = stand_in.commit_of(files)
    code = "from itr_core.gallery.hub import local_gallery as get; import sys; print(get(sys.argv[1]))"
    got = run(hub, tmp_path, "-c", code, "hub-gallery:ann/drawings")
    assert got.returncode == 0, got.stderr
    folder = Path(got.stdout.strip())
    assert folder.name == "drawings"
    assert commit in folder.parts
    assert Gallery.open(folder).manifest == Gallery.open(gallery).manifest
    assert "secret.bin" not in hub.requested
    assert not any(path.is_symlink() for path in folder.rglob("*"))  # the app serves no links
    hub.shutdown()
    hub.server_close()
    again = run(hub, tmp_path, "-c", code, f"hub-gallery:ann/drawings@{commit}")
    assert again.stdout.strip() == str(folder), again.stderr
    unreachable = run(hub, tmp_path, "-c", code, "hub-gallery:ann/other")
    assert "hub-gallery:ann/other cannot be downloaded" in unreachable.stderr


def test_a_space_has_binary_files_and_variables_and_no_old_files(hub: Any, tmp_path: Path) -> None:
    hub.repositories["spaces/ann/search"] = {"ui/old.py": b"", "notes.md": b"mine", ".gitattributes": b""}
    sent = publish(hub, tmp_path, "space", "ann/search", "--gallery", "hub-gallery:ann/drawings@v1", "--json")
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["kind"] == "space"
    files = hub.repositories["spaces/ann/search"]
    assert {"app.py", "README.md", "requirements.txt", "notes.md", "ui/web/app.py"} <= set(files)
    assert "ui/old.py" not in files
    assert not any(name.startswith(("tests/", ".git/")) for name in files)
    weights = "assets/models/infonce/open_clip_model.safetensors"
    assert files[weights] == (ROOT / weights).read_bytes()
    assert hub.variables == {"PAIRSCOPE_GALLERY": "hub-gallery:ann/drawings@v1"}


def test_a_dry_run_sends_nothing(hub: Any, tmp_path: Path) -> None:
    model = ROOT / "assets" / "models" / "infonce"
    shown = publish(hub, tmp_path, "model", str(model), "ann/model", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "open_clip_model.safetensors" in shown.stdout
    assert f"{(model / 'open_clip_model.safetensors').stat().st_size:,}" in shown.stdout
    assert "Nothing was sent" in shown.stdout
    assert hub.repositories == {}


def test_refusals_of_the_hub_say_what_to_do(hub: Any, tmp_path: Path) -> None:
    model = str(ROOT / "assets" / "models" / "infonce")
    refused = publish(hub, tmp_path, "model", model, "ann/model", token="hf_wrong")
    assert refused.returncode == 2
    assert "hf auth login" in refused.stderr
    assert "Traceback" not in refused.stderr
    hub.shutdown()
    hub.server_close()
    assert "cannot be reached" in publish(hub, tmp_path, "model", model, "ann/model").stderr
    assert "names no repository" in publish(hub, tmp_path, "model", model, "a/b/c").stderr


def test_what_is_not_complete_is_not_published(tmp_path: Path, gallery: Path) -> None:
    with pytest.raises(GalleryError):
        gallery_contents(tmp_path)
    with pytest.raises(PairscopeError, match=r"checksums\.json"):
        model_contents(tmp_path)
    with pytest.raises(PairscopeError, match=r"no app\.py"):
        space_contents(root=tmp_path)
    assert set(model_contents(ROOT / "assets" / "models" / "infonce").files) >= {
        "README.md",
        "checksums.json",
    }
    assert local_gallery("folder:photos") == "folder:photos"
    with pytest.raises(GalleryError, match="ORG/NAME"):
        local_gallery("hub-gallery:../secret")
