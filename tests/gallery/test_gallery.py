"""A gallery on disk: complete and correct, also after interrupted builds, damage and forged files."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from itr_core.encoders.dual_encoder import DualEncoder, load_encoder
from itr_core.errors import GalleryError, QueryError
from itr_core.gallery import Gallery
from itr_core.gallery.build import SHARD
from itr_core.gallery.manifest import Manifest, stamps
from itr_core.pairs import PairSet, load_pairs

MODEL = "picturebook-vit/none"
MANY = SHARD + 60
FILES = ["image_embeddings.npy", "text_embeddings.npy", "items.parquet", "manifest.json"]


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return load_encoder(MODEL)


def paint(folder: Path, count: int, size: tuple[int, int] = (16, 16)) -> PairSet:
    """Create a folder of images of different colours; the n-th has n % 3 captions."""
    folder.mkdir(parents=True)
    colours = np.random.default_rng(count).integers(0, 256, (count, 3)).tolist()
    with (folder / "metadata.jsonl").open("w") as out:
        for n, colour in enumerate(colours):
            Image.new("RGB", size, tuple(colour)).save(folder / f"{n:04}.png")
            captions = [f"picture {n} in colour {colour}", f"number {n}"][: n % 3]
            line = {"file_name": f"{n:04}.png", "captions": captions, "labels": [f"mod {n % 5}"]}
            out.write(json.dumps(line) + "\n")
    return load_pairs(f"folder:{folder}")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return paint(tmp_path_factory.mktemp("few") / "pictures", 7, size=(640, 100))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return paint(tmp_path_factory.mktemp("many") / "pictures", MANY)


@pytest.fixture(scope="module")
def built(few: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "gallery"
    Gallery.build(few, encoder, path)
    return path


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A gallery that a test may damage."""
    return Path(shutil.copytree(built, tmp_path / "gallery"))


# ---- contents of a gallery


def test_a_gallery_contains_items_and_embeddings_of_its_source(
    few: PairSet, encoder: DualEncoder, built: Path
) -> None:
    gallery = Gallery.open(built)
    assert gallery.items["image_id"].tolist() == few.image_ids
    assert gallery.items["captions"].tolist() == few.captions
    assert gallery.column("captions") == few.captions
    assert [list(labels) for labels in gallery.items["labels"]] == few.labels
    images = encoder.encode_images(pair.image for pair in few)
    texts, image_of_caption = few.flat_captions()
    np.testing.assert_allclose(gallery.image_embeddings, images, atol=1e-6)
    np.testing.assert_allclose(gallery.text_embeddings, encoder.encode_texts(texts), atol=1e-6)
    np.testing.assert_array_equal(gallery.image_of_caption, image_of_caption)
    about = gallery.manifest
    assert (about.images, about.captions, about.dim) == (7, 6, encoder.dim)
    assert (about.source, about.source_fingerprint) == (few.source, few.fingerprint)
    assert (about.model, about.model_fingerprint) == (MODEL, encoder.fingerprint)


def test_thumbnails_are_small_webp_files_named_by_row(few: PairSet, built: Path) -> None:
    gallery = Gallery.open(built)
    assert (gallery.items["width"][3], gallery.items["height"][3]) == (640, 100)
    path = gallery.thumbnail(few.image_ids[3])
    assert path == built / "thumbnails" / "000" / "000003.webp"
    with Image.open(path) as thumbnail:
        assert thumbnail.format == "WEBP"
        assert thumbnail.size == (320, 50)
        assert np.abs(np.asarray(thumbnail)[25, 160].astype(int) - few.image(3).getpixel((0, 0))).max() < 8
    with pytest.raises(QueryError, match="no image 'nobody'"):
        gallery.row("nobody")


def test_manifest_stamps_every_file(built: Path) -> None:
    files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert files == Manifest.read(built).files.keys() | {"manifest.json", "sources.parquet"}


def test_embeddings_are_read_only(built: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Gallery.open(built).image_embeddings[0] = 0


def test_images_without_captions(tmp_path: Path, encoder: DualEncoder) -> None:
    for n in range(3):
        Image.new("RGB", (8, 8), (80 * n, 0, 0)).save(tmp_path / f"{n}.png")
    gallery = Gallery.build(load_pairs(f"folder:{tmp_path}"), encoder, tmp_path / "gallery")
    assert gallery.text_embeddings.shape == (0, encoder.dim)
    assert gallery.items["captions"].tolist() == [[], [], []]


def test_unusable_images_are_skipped_with_reasons(tmp_path: Path, encoder: DualEncoder) -> None:
    pairs = paint(tmp_path / "pictures", 5)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "0002.png")
    whole = (tmp_path / "pictures" / "0002.png").read_bytes()
    (tmp_path / "pictures" / "0002.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pictures" / "text.jpg").write_text("This is no picture.")
    Image.new("RGB", (1, 1)).save(tmp_path / "pictures" / "pixel.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "pictures" / "vast.png")
    pairs = load_pairs(f"folder:{tmp_path / 'pictures'}")
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery")
    assert gallery.items["image_id"].tolist() == ["0000.png", "0001.png", "0003.png", "0004.png", "pixel.png"]
    reasons = dict(gallery.manifest.skipped)
    assert reasons.keys() == {"0002.png", "text.jpg", "vast.png"}
    assert "truncated" in reasons["0002.png"]
    assert "not a JPEG" in reasons["text.jpg"]
    assert "the limit is 50 megapixels" in reasons["vast.png"]
    expected = [text for n in (1, 4) for text in pairs.captions[n]]  # 0 and 3 have no captions, 2 is skipped
    assert [text for captions in gallery.items["captions"] for text in captions] == expected
    np.testing.assert_allclose(gallery.text_embeddings, encoder.encode_texts(expected), atol=1e-6)
    np.testing.assert_array_equal(gallery.image_of_caption, [1, 3])


def test_a_source_without_usable_images_is_an_error(tmp_path: Path, encoder: DualEncoder) -> None:
    pairs = paint(tmp_path / "pictures", 2)
    for file in (tmp_path / "pictures").glob("*.png"):
        data = bytearray(file.read_bytes())
        data[-30:] = bytes(30)
        file.write_bytes(data)
    with pytest.raises(GalleryError, match=r"none of its 2 images can be used.*0000\.png"):
        Gallery.build(pairs, encoder, tmp_path / "gallery")
    assert not (tmp_path / "gallery").exists()


# ---- interrupted builds


BUILD = """
import os, resource, signal, sys
from itr_core import Gallery, load_encoder, load_pairs
def progress(done, total):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[4] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
try:
    encoder = load_encoder("picturebook-vit/none")
    Gallery.build(load_pairs(sys.argv[1]), encoder, sys.argv[2], progress=progress)
except Exception as error:
    print(type(error).__name__, error)
"""


def build_elsewhere(
    pairs: PairSet, path: Path, *, kill_at: int = -1, file_limit: int = 0
) -> subprocess.CompletedProcess[str]:
    """Build in a new process that is killed at image `kill_at` or may write `file_limit` bytes per file."""
    arguments = [pairs.source, str(path), str(kill_at), str(file_limit)]
    return subprocess.run(
        [sys.executable, "-c", BUILD, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def unbroken(many: PairSet, encoder: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Gallery.build(many, encoder, tmp_path_factory.mktemp("unbroken") / "gallery").path


@pytest.fixture(scope="module")
def folder_of_killed_build(many: PairSet, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a gallery of few pictures, over which a build of many was killed."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(built, folder / "gallery")
    killed = build_elsewhere(many, folder / "gallery", kill_at=SHARD + 20)
    assert killed.returncode == -signal.SIGKILL
    return folder


@pytest.fixture
def killed(folder_of_killed_build: Path, tmp_path: Path) -> Path:
    """Return the gallery of a copy of that folder."""
    return Path(shutil.copytree(folder_of_killed_build, tmp_path, dirs_exist_ok=True)) / "gallery"


def test_a_killed_build_resumes_and_writes_the_same_bytes(
    few: PairSet, many: PairSet, encoder: DualEncoder, unbroken: Path, killed: Path
) -> None:
    assert Gallery.open(killed).manifest.source == few.source  # the old gallery is intact

    seen: list[tuple[int, int]] = []
    Gallery.build(many, encoder, killed, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, MANY) for n in range(SHARD, MANY + 1)]
    for path in unbroken.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            assert path.read_bytes() == (killed / path.relative_to(unbroken)).read_bytes(), path
    assert os.listdir(killed.parent) == ["gallery"]


def test_a_stopped_build_is_not_resumed_with_another_model(
    many: PairSet, encoder: DualEncoder, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == SHARD + 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="Repeat the command to resume"):
        Gallery.build(many, encoder, tmp_path / "gallery", progress=stop)
    assert not (tmp_path / "gallery").exists()
    other = load_encoder(MODEL, seed=1)
    seen: list[int] = []
    gallery = Gallery.build(many, other, tmp_path / "gallery", progress=lambda done, total: seen.append(done))
    assert seen == list(range(MANY + 1))
    np.testing.assert_allclose(gallery.image_embeddings[:1], other.encode_images([many.image(0)]), atol=1e-6)


def test_a_full_disk_is_reported(few: PairSet, many: PairSet, copy: Path) -> None:
    output = build_elsewhere(many, copy, file_limit=50_000).stdout
    assert output.startswith(
        f"GalleryError The gallery {copy} cannot be written (File too large). It needs about"
    )
    assert "MB are free" in output
    assert "repeat the command" in output
    assert Gallery.open(copy).manifest.source == few.source


def test_a_second_build_of_the_same_gallery_is_refused(
    few: PairSet, encoder: DualEncoder, tmp_path: Path
) -> None:
    (tmp_path / ".gallery.part").mkdir()
    with FileLock(tmp_path / ".gallery.part" / "lock"), pytest.raises(GalleryError, match="Another build"):
        Gallery.build(few, encoder, tmp_path / "gallery")


def test_a_folder_that_is_no_gallery_is_never_replaced(
    few: PairSet, encoder: DualEncoder, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    for path in (tmp_path, tmp_path / "photo.jpg"):
        with pytest.raises(GalleryError, match="is no gallery"):
            Gallery.build(few, encoder, path)
    with pytest.raises(
        GalleryError, match=r"cannot be written \(Not a directory\)\. Choose another folder\."
    ):
        Gallery.build(few, encoder, tmp_path / "photo.jpg" / "gallery")
    assert (tmp_path / "photo.jpg").read_bytes() == b"a photo"
    (tmp_path / "empty").mkdir()
    assert len(Gallery.build(few, encoder, tmp_path / "empty")) == 7


# ---- damaged, foreign and forged galleries


@pytest.mark.parametrize("name", [*FILES, "thumbnails/000/000004.webp"])
def test_a_changed_byte_is_detected(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) * 2 // 3] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(GalleryError, match=rf"{name}.*pairscope build"):
        Gallery.open(copy)


def test_what_shows_no_thumbnails_need_not_compare_them(copy: Path) -> None:
    for file in (copy / "thumbnails" / "000").iterdir():
        file.unlink()
    with pytest.raises(GalleryError, match=r"000000\.webp is missing and 6 more files"):
        Gallery.open(copy)
    assert len(Gallery.open(copy, thumbnails=False)) == 7
    (copy / "items.parquet").write_bytes(b"")
    with pytest.raises(GalleryError, match=r"items\.parquet has changed"):
        Gallery.open(copy, thumbnails=False)


def test_a_changed_manifest_is_detected(copy: Path) -> None:
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"images": 7', '"images": 8'))
    with pytest.raises(GalleryError, match=r"manifest\.json is damaged"):
        Gallery.open(copy)


@pytest.mark.parametrize("name", [*FILES, "thumbnails/000/000004.webp"])
def test_a_missing_or_truncated_file_is_detected(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(GalleryError, match=name):
        Gallery.open(copy, verify=False)
    (copy / name).unlink()
    with pytest.raises(GalleryError, match=name):
        Gallery.open(copy, verify=False)


def test_the_remedy_is_the_command_that_built_the_gallery(copy: Path, few: PairSet) -> None:
    (copy / "items.parquet").unlink()
    with pytest.raises(GalleryError) as caught:
        Gallery.open(copy)
    assert str(caught.value).endswith(f"pairscope build {few.source} --model {MODEL} --out {copy}")


def test_another_format_version_is_refused_with_the_command_that_builds_it_anew(
    copy: Path, few: PairSet
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"format": 2, "something": "new"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GalleryError, match=r"newer version.*format 2; this version reads 1") as caught:
        Gallery.open(copy)
    assert str(caught.value).endswith(f"pairscope build {few.source} --model {MODEL} --out {copy} --force")


def test_a_manifest_from_before_options_were_recorded_is_readable(tmp_path: Path) -> None:
    old = {
        "format": 1, "source": "folder:photos", "source_fingerprint": "ab", "model": "starter:infonce",
        "model_fingerprint": "cd", "dim": 2, "images": 1, "captions": 0, "created": "2026-01-02T00:00:00Z",
        "skipped": [["x.jpg", "damaged"]], "files": {"items.parquet": [3, "ef"]},
        "checksum": "b243caa29fb73e80b677daa2cc40b04c66518fc20b5ab11325ab6f6a8b7963fd",
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    manifest = Manifest.read(tmp_path)
    manifest.write(tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == old
    changed = manifest.model_copy(update={"options": {"limit": 3}})
    changed.write(tmp_path)
    assert Manifest.read(tmp_path).options == {"limit": 3}


def test_the_command_to_rebuild_has_every_option_of_the_source(built: Path) -> None:
    options = {
        "columns": {"image": "photo", "captions": ["a b", "c"], "labels": []}, "image_root": "my photos",
        "limit": 5, "follow_links": True, "other": False, "exclude": ["*.gif", "old/*"],
    }  # fmt: skip
    manifest = Manifest.read(built).model_copy(update={"options": options})
    assert shlex.split(manifest.rebuild_command(built, "starter:cusa", tokens=True)) == [
        "pairscope", "build", manifest.source, "--model", "starter:cusa", "--out", str(built),
        "--columns", "image=photo", "--columns", "captions=a b,c", "--columns", "labels=",
        "--image-root", "my photos", "--limit", "5", "--follow-links",
        "--exclude", "*.gif", "--exclude", "old/*", "--tokens",
    ]  # fmt: skip


@pytest.mark.parametrize("newer", [{"format": 2}, {"colours": []}])
def test_a_gallery_of_a_newer_version_is_replaced_only_by_force(
    copy: Path, few: PairSet, encoder: DualEncoder, newer: dict[str, Any]
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | newer
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(GalleryError, match=r"built by a newer version of Pairscope .*--force"):
        Gallery.build(few, encoder, copy)
    assert json.loads((copy / "manifest.json").read_text()) == manifest
    assert Gallery.build(few, encoder, copy, force=True).manifest.format == 1


def test_a_damaged_gallery_is_replaced_without_force(copy: Path, few: PairSet, encoder: DualEncoder) -> None:
    (copy / "manifest.json").write_text((copy / "manifest.json").read_text().replace('"source"', '"sourcf"'))
    assert Gallery.build(few, encoder, copy).manifest.source == few.source


def test_a_damaged_shard_of_a_stopped_build_is_encoded_again(
    many: PairSet, encoder: DualEncoder, unbroken: Path, killed: Path
) -> None:
    shard = next((killed.parent / ".gallery.part" / "shards").glob("*.npz"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    seen: list[int] = []
    gallery = Gallery.build(many, encoder, killed, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0
    np.testing.assert_array_equal(gallery.image_embeddings, Gallery.open(unbroken).image_embeddings)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    for path, source in ((tmp_path, tmp_path), (tmp_path / "nowhere", "SOURCE")):
        with pytest.raises(GalleryError, match=rf"{path} is no gallery .*pairscope build {source} --out"):
            Gallery.open(path)


def forge(folder: Path, names: list[str], **changes: object) -> None:
    """Rewrite the manifest with a valid checksum, as an attacker can."""
    about = Manifest.read(folder)
    about.model_copy(update={"files": stamps(folder, names), **changes}).write(folder)


def test_a_forged_manifest_cannot_name_files_outside(copy: Path) -> None:
    names = list(Manifest.read(copy).files)
    (copy.parent / "secret").write_text("secret")
    forge(copy, [*names, "../secret"])
    with pytest.raises(GalleryError, match="is outside the folder"):
        Gallery.open(copy)
    (copy / "thumbnails" / "link.webp").symlink_to(copy.parent / "secret")
    forge(copy, [*names, "thumbnails/link.webp"])
    with pytest.raises(GalleryError, match="is outside the folder"):
        Gallery.open(copy)


@pytest.mark.parametrize("name", ["image_id", "thumbnail", "labels"])
def test_items_without_a_column_are_refused_with_the_remedy(copy: Path, name: str) -> None:
    items = Gallery.open(copy).items.drop(columns=name)
    items.to_parquet(copy / "items.parquet")
    forge(copy, list(Manifest.read(copy).files))
    with pytest.raises(GalleryError, match=f'"{name}" does not exist in schema.*Rebuild it: pairscope'):
        Gallery.open(copy)


def test_forged_items_cannot_name_files_outside(copy: Path) -> None:
    gallery = Gallery.open(copy)
    items = gallery.items.assign(thumbnail=["../secret", *gallery.items["thumbnail"][1:]])
    items.to_parquet(copy / "items.parquet")
    forge(copy, list(gallery.manifest.files))
    with pytest.raises(GalleryError, match=r"names '\.\./secret'"):
        Gallery.open(copy)


@pytest.mark.parametrize(
    "array",
    [np.zeros((7, 192)), np.zeros((6, 192), np.float32), np.array([{"a": 1}] * 7, dtype=object)],
    ids=["float64", "six rows", "objects"],
)
def test_arrays_of_another_type_or_shape_are_refused(copy: Path, array: np.ndarray) -> None:
    np.save(copy / "image_embeddings.npy", array)
    forge(copy, list(Manifest.read(copy).files))
    with pytest.raises(GalleryError, match=r"image_embeddings\.npy"):
        Gallery.open(copy)


def test_arrays_with_another_number_of_rows_are_refused(copy: Path) -> None:
    np.save(copy / "image_embeddings.npy", np.zeros((8, 192), np.float32))
    forge(copy, list(Manifest.read(copy).files), images=8)
    with pytest.raises(GalleryError, match="counts differ"):
        Gallery.open(copy)


# ---- galleries with patch tokens


def test_tokens_equal_the_encoders_and_nothing_else_changes(
    few: PairSet, encoder: DualEncoder, built: Path, tmp_path: Path
) -> None:
    gallery = Gallery.build(few, encoder, tmp_path / "gallery", tokens=True)
    _, expected = encoder.encode_images((pair.image for pair in few), tokens=True)
    assert gallery.image_tokens is not None
    assert gallery.image_tokens.shape == (7, 49, encoder.dim)
    assert gallery.image_tokens.dtype == np.float16
    assert isinstance(gallery.image_tokens, np.memmap)
    np.testing.assert_allclose(gallery.image_tokens, expected, atol=1e-3)
    plain = Gallery.open(built)
    assert plain.image_tokens is None
    assert gallery.manifest.files.keys() == plain.manifest.files.keys() | {"image_tokens.npy"}
    assert gallery.manifest.format == plain.manifest.format == 1
    np.testing.assert_allclose(gallery.image_embeddings, plain.image_embeddings, atol=1e-6)
    np.testing.assert_array_equal(gallery.text_embeddings, plain.text_embeddings)
    assert gallery.manifest.rebuild_command(gallery.path).endswith(f"--out {gallery.path} --tokens")
    assert "--tokens" not in plain.manifest.rebuild_command(built)


def test_a_stopped_build_with_tokens_resumes(many: PairSet, encoder: DualEncoder, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == SHARD + 1:
            signal.raise_signal(signal.SIGINT)

    def build(name: str, tokens: bool = True, **options: Any) -> tuple[Gallery, list[int]]:
        seen: list[int] = []
        options = {"progress": lambda done, total: seen.append(done)} | options
        return Gallery.build(many, encoder, tmp_path / name, tokens=tokens, **options), seen

    unbroken, _ = build("unbroken")
    with pytest.raises(KeyboardInterrupt):
        build("gallery", progress=stop)
    gallery, seen = build("gallery")
    assert seen == list(range(SHARD, MANY + 1))
    name = "image_tokens.npy"
    assert (gallery.path / name).read_bytes() == (unbroken.path / name).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build("gallery", progress=stop)
    gallery, seen = build("gallery", tokens=False)  # with other options, nothing is reused
    assert seen == list(range(MANY + 1))
    assert gallery.image_tokens is None


@pytest.mark.parametrize(
    "array",
    [np.zeros((7, 49, 192), np.float32), np.zeros((6, 49, 192), np.float16), np.zeros((7, 192), np.float16)],
    ids=["float32", "six rows", "no patches"],
)
def test_tokens_of_another_type_or_shape_are_refused(copy: Path, array: np.ndarray) -> None:
    np.save(copy / "image_tokens.npy", array)
    forge(copy, [*Manifest.read(copy).files, "image_tokens.npy"])
    with pytest.raises(GalleryError, match=r"image_tokens\.npy contains .*float16 \(7, None, None\)"):
        Gallery.open(copy)
