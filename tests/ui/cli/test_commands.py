"""The `pairscope` command: its output, its messages and its exit codes."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from itr_core.gallery import Gallery
from itr_core.gallery.manifest import Manifest, stamps
from itr_core.pairs import load_pairs
from itr_core.training.config import TrainConfig
from ui.cli import app
from ui.cli.output import keep_bars_out_of_files

ROOT = Path(__file__).parents[3]
MODEL = "picturebook-vit/none"
SOURCE = "picturebook:test@12"


def pairscope(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def in_own_process(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ui.cli", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("terminal") / "gallery"
    result = pairscope("build", SOURCE, "--model", MODEL, "--out", path)
    assert result.exit_code == 0, result.output
    assert "12" in result.stdout
    return path


def test_a_folder_that_is_no_gallery_is_named_with_a_place_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    monkeypatch.chdir(photos)
    for named, out in (
        (".", f"{photos}-gallery"),
        (str(photos), f"{photos}-gallery"),
        ("/", "/photos-gallery"),
    ):
        refused = pairscope("update", named)
        assert refused.exit_code == 2
        assert f"pairscope build {named} --out {out}" in " ".join(refused.stderr.split())


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "photo.png"
    load_pairs(SOURCE).image(4).save(path)
    return path


# ---- the whole command


@pytest.mark.parametrize("terminal", [False, True])
def test_libraries_draw_progress_bars_on_terminals_only(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = ["HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"]
    for variable in variables:
        monkeypatch.setenv(variable, "")  # so that it is restored, also where it was not set
        monkeypatch.delenv(variable)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    keep_bars_out_of_files()
    assert [os.environ.get(variable) for variable in variables] == [None if terminal else "1"] * 2


def test_help_lists_every_command() -> None:
    shown = pairscope("--help").stdout
    for command in ("demo", "data", "train", "build", "search", "evaluate", "analyze"):
        assert command in shown
        assert "--help" in pairscope(command, "--help").stdout


def test_the_command_starts_without_slow_imports() -> None:
    heavy = "{'torch', 'datasets', 'pandas', 'faiss', 'gradio', 'open_clip'} & set(sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, ui.cli; print({heavy})"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "set()"


def test_invalid_input_ends_with_one_line_and_exit_code_2() -> None:
    process = in_own_process("build", "picturebok:test", "--out", "nowhere")
    stdout, stderr = process.communicate()
    assert process.returncode == 2
    assert stdout == ""
    assert stderr == "Unknown kind of source 'picturebok' in 'picturebok:test'. Did you mean 'picturebook'?\n"


def test_ctrl_c_says_how_to_resume_and_ends_with_exit_code_130(tmp_path: Path) -> None:
    process = in_own_process("build", "picturebook:test@300", "--model", MODEL, "--out", tmp_path / "gallery")
    while process.poll() is None and not (tmp_path / ".gallery.part" / "plan.json").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "Repeat the command to resume" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "gallery").exists()


def test_demo_reads_its_options_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("ui.web.app.launch", lambda *options, **more: calls.append(options))
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "three", "four"):
        Path(name).mkdir()
    space = {"GRADIO_SERVER_NAME": "0.0.0.0"}  # as on a Hugging Face Space
    own = {
        "PAIRSCOPE_GALLERY": "one two", "PAIRSCOPE_MODEL": "starter:cusa a/b", "PAIRSCOPE_HOST": "::1",
        "PAIRSCOPE_PORT": "80",
    }  # fmt: skip
    for environment in ({}, space, space | own):
        assert CliRunner().invoke(app, ["demo"], env=environment).exit_code == 0
    assert CliRunner().invoke(app, ["demo", "four", "--gallery", "three"], env=own).exit_code == 0
    assert CliRunner().invoke(app, ["demo", "--model", "c", "--model", "d"], env=own).exit_code == 0
    assert CliRunner().invoke(app, ["demo", "five"], env=own).exit_code == 2
    assert calls == [
        (None, None, "127.0.0.1", 7860),
        (None, None, "0.0.0.0", 7860),
        (["one", "two"], ["starter:cusa", "a/b"], "::1", 80),
        (["four", "three"], ["starter:cusa", "a/b"], "::1", 80),
        (["one", "two"], ["c", "d"], "::1", 80),
    ]


@pytest.mark.parametrize("quoted", [False, True])
def test_the_environment_variable_of_galleries_takes_paths_with_spaces(
    quoted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("ui.web.app.launch", lambda *options, **more: calls.append(options))
    photos = tmp_path / "my photos"
    photos.mkdir()
    value = f"'{photos}' picturebook:test" if quoted else str(photos)
    assert CliRunner().invoke(app, ["demo"], env={"PAIRSCOPE_GALLERY": value}).exit_code == 0
    assert calls[0][0] == ([str(photos), "picturebook:test"] if quoted else [str(photos)])
    refused = CliRunner().invoke(app, ["demo"], env={"PAIRSCOPE_GALLERY": "'my photos"})
    assert refused.exit_code == 2
    assert "no closing quotation" in refused.stderr


def test_a_mistyped_path_ends_the_app_before_it_is_served() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused = pairscope("demo", "picturebook:test@3", "fotos", "--port", port)
    assert refused.exit_code == 2
    assert "'fotos': no such file or folder." in refused.stderr


def test_damaged_judgments_end_the_app_before_it_is_served(tmp_path: Path) -> None:
    (tmp_path / "expert.txt").write_text("a.jpg\ta.jpg#0\t4\t4\tgood")
    refused = pairscope("demo", "picturebook:test@3", "--judgments", tmp_path / "expert.txt")
    assert refused.exit_code == 2
    assert "expert.txt, line 1: could not convert string to float: 'good'." in refused.stderr


@pytest.mark.parametrize("command", [["app.py"], ["-m", "ui.cli", "demo"]])
def test_a_port_in_use_ends_with_one_line_and_exit_code_2(command: list[str]) -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        done = subprocess.run(
            [sys.executable, *command, "--port", str(port), "--gallery", "picturebook:test@1"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"The app cannot listen on 127.0.0.1:{port};")
    assert "Traceback" not in done.stderr


# ---- galleries


def test_build_prints_only_json(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("no picture")
    process = in_own_process("build", tmp_path, "--model", MODEL, "--out", tmp_path / "gallery", "--json")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    printed = json.loads(stdout)
    assert (printed["images"], printed["captions"], printed["model"]) == (1, 0, MODEL)
    assert printed["skipped"][0][0] == "bad.jpg"


def test_build_lists_skipped_files(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("no picture")
    result = pairscope("build", tmp_path, "--model", MODEL, "--out", tmp_path / "gallery")
    assert "skipped bad.jpg: not a JPEG" in result.stderr
    assert "1 image or line skipped" in result.stderr


def test_tables_report_what_was_joined_and_left_out(tmp_path: Path) -> None:
    """A picture of no bytes is named by every command, and joined rows are noted before the work."""
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (9, 9), colour).save(tmp_path / f"{name}.png")
    files = [(tmp_path / f"{name}.png").read_bytes() for name in "aab"] + [b""]
    table = pa.table({"image": files, "caption": ["one", "two", "three", "four"]})
    pq.write_table(table, tmp_path / "table.parquet")
    source = tmp_path / "table.parquet"
    train = ("train", "--method", "infonce", "--model", MODEL, "--max-steps", 1, "--out", tmp_path / "run")
    for command in (
        ("data", "show", source),
        ("build", source, "--model", MODEL, "--out", tmp_path / "gallery", "--no-map"),
        ("evaluate", "--source", source, "--model", MODEL),
        (*train, "--source", source),
    ):
        result = pairscope(*command)
        assert result.exit_code == 0, result.output
        assert "row 3: empty file (0 bytes)" in result.output
        assert "3 rows without ids are 2 images" in result.output


def test_no_name_of_a_column_means_none(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    pq.write_table(pa.table({"image": [(tmp_path / "a.png").read_bytes()]}), tmp_path / "table.parquet")
    refused = pairscope("data", "show", tmp_path / "table.parquet")
    assert "--columns captions= " in refused.stderr
    shown = pairscope("data", "show", tmp_path / "table.parquet", "--columns", "captions=", "--json")
    assert json.loads(shown.stdout)["images_without_caption"] == 1


def test_search_with_words(gallery: Path) -> None:
    result = pairscope("search", gallery, "two dogs on a beach", "-k", 3, "--json")
    found = json.loads(result.stdout)
    assert (found["query"], found["of"], found["cut"]) == ("two dogs on a beach", "images", "")
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]
    assert all(Path(hit["thumbnail"]).is_file() for hit in found["hits"])
    unquoted = pairscope("search", gallery, "two", "dogs", "on", "a", "beach", "-k", 3, "--json")
    assert json.loads(unquoted.stdout)["hits"] == found["hits"]
    table = pairscope("search", gallery, "two dogs on a beach", "-k", 3).stdout
    assert all(hit["item_id"] in table for hit in found["hits"])


def test_search_among_the_images_with_some_labels(gallery: Path) -> None:
    labels = {pair.image_id: set(pair.labels or ()) for pair in load_pairs(SOURCE)}
    one, other = sorted(next(each for each in labels.values() if len(each) > 1))[:2]
    for wanted in ({one}, {one, other}):
        options = [each for label in sorted(wanted) for each in ("--label", label)]
        found = json.loads(pairscope("search", gallery, "a dog", *options, "-k", 100, "--json").stdout)
        expected = {image_id for image_id, own in labels.items() if wanted <= own}
        assert {hit["item_id"] for hit in found["hits"]} == expected


def test_search_with_an_image_file(gallery: Path, picture: Path) -> None:
    found = json.loads(pairscope("search", gallery, picture, "--json").stdout)
    assert found["of"] == "captions"
    known = {caption for captions in Gallery.open(gallery).items["captions"] for caption in captions}
    assert {hit["caption"] for hit in found["hits"]} <= known
    short = json.loads(pairscope("search", gallery, picture, "--words", "-8", "-k", 100, "--json").stdout)
    few = {caption for caption in known if len(caption.split()) <= 8}
    assert {hit["caption"] for hit in short["hits"]} == few
    assert 0 < len(few) < len(known)
    alike = json.loads(pairscope("search", gallery, picture, "--of", "images", "-k", 1, "--json").stdout)
    assert alike["hits"][0]["item_id"] == load_pairs(SOURCE).image_ids[4]


def test_a_file_named_like_the_query_is_not_searched_with_unless_it_is_meant(
    gallery: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched_for(*arguments: object) -> str:
        return json.loads(pairscope("search", gallery, *arguments, "--json").stdout)["of"]

    monkeypatch.chdir(tmp_path)
    picture.rename(tmp_path / "dog.png")
    (tmp_path / "dog").write_bytes((tmp_path / "dog.png").read_bytes())
    words, image = "images", "captions"
    assert searched_for("dog") == words
    assert "with the file dog, add --image" in pairscope("search", gallery, "dog").stderr
    assert {searched_for("dog", "--image"), searched_for("./dog"), searched_for("dog.png")} == {image}
    assert {searched_for("dog.png", "--text"), searched_for("cat.png", "--text")} == {words}
    assert {searched_for("~"), searched_for("~nobody"), searched_for("a", "dog.png")} == {words}
    shutil.move("dog.png", picture)


def test_a_picture_finds_pictures_in_a_gallery_without_captions(tmp_path: Path) -> None:
    for name, colour in (("red dog.png", "red"), ("blue.png", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / name)
    assert pairscope("build", tmp_path, "--model", MODEL, "--out", tmp_path / "g").exit_code == 0
    found = json.loads(pairscope("search", tmp_path / "g", tmp_path / "red dog.png", "--json").stdout)
    assert found["of"] == "images"
    assert [hit["item_id"] for hit in found["hits"]] == ["red dog.png", "blue.png"]
    analysed = pairscope("analyze", tmp_path / "g", "--out", tmp_path / "report.html")
    assert analysed.exit_code == 0, analysed.output
    assert "needs captions" in analysed.stdout
    assert "2 pictures and 0 captions" in analysed.stderr
    assert "map-g" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("damage", ["thumbnail", "manifest", "items", "another model"])
def test_the_suggested_command_rebuilds_a_gallery_as_it_was(damage: str, tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    photos.mkdir()
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (32, 32), "red").save(photos / name)
    rows = [{"name": f"{n}.png", "alt text": f"ball {n}", "title": f"toy {n}"} for n in (1, 2, 3)]
    pd.DataFrame(rows).to_parquet(tmp_path / "table.parquet")
    out = tmp_path / "the gallery"
    command = [
        "build", tmp_path / "table.parquet", "--out", out, "--model", MODEL, "--columns", "image=name",
        "--columns", "captions=alt text,title", "--image-root", photos, "--limit", 2, "--tokens", "--no-map",
    ]  # fmt: skip
    assert pairscope(*command).exit_code == 0
    before = Gallery.open(out)
    if damage == "thumbnail":
        next(out.glob("thumbnails/*/*.webp")).write_bytes(b"")
    elif damage == "manifest":
        text = (out / "manifest.json").read_text()
        (out / "manifest.json").write_text(text.replace('"images": 2', '"images": 3'))
    elif damage == "items":
        (out / "items.parquet").write_bytes(b"no table")
        Manifest.read(out).model_copy(update={"files": stamps(out, before.manifest.files)}).write(out)
    model = "picturebook-resnet/none" if damage == "another model" else MODEL
    if damage == "thumbnail":  # which a search does not show
        message = pairscope("analyze", out).stderr
    else:
        message = pairscope("search", out, "ball", "--model", model).stderr
    suggested = shlex.split(message[message.index("pairscope build") :])[1:]
    assert suggested.pop(suggested.index("--model") + 1) == model
    suggested.insert(suggested.index("--model") + 1, MODEL)
    assert pairscope(*suggested).exit_code == 0
    after = Gallery.open(out)
    assert after.items.equals(before.items)
    assert after.manifest.files.keys() == before.manifest.files.keys()
    assert after.manifest.options == before.manifest.options


def test_captions_and_names_cannot_control_the_terminal(tmp_path: Path) -> None:
    hostile = "a red\x1b]0;title\x07 \x9b31m\u202eball\r"
    Image.new("RGB", (32, 32), "red").save(tmp_path / "\x1b[2Jred.png")
    (tmp_path / "\x1b[1mbad.jpg").write_text("no picture")
    line = {"file_name": "\x1b[2Jred.png", "caption": hostile}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line))
    built = pairscope("build", tmp_path, "--model", MODEL, "--out", tmp_path / "\x1b[5mg")
    assert built.exit_code == 0
    shown = pairscope("search", tmp_path / "\x1b[5mg", "red")
    printed = pairscope("search", tmp_path / "\x1b[5mg", "red", "--of", "captions", "--json")
    for result in (built, shown, printed):
        assert not set(result.output) & set("\x1b\x07\x9b\u202e\r")
    assert json.loads(printed.stdout)["hits"][0]["caption"] == hostile


def test_search_reranks_if_the_gallery_has_tokens(gallery: Path, tmp_path: Path) -> None:
    refused = pairscope("search", gallery, "two dogs", "--rerank")
    assert refused.exit_code == 2
    assert f"pairscope build {SOURCE} --model {MODEL} --out {gallery} --tokens" in refused.stderr
    assert pairscope("build", SOURCE, "--model", MODEL, "--tokens", "--out", tmp_path / "g").exit_code == 0
    command = ["search", tmp_path / "g", "two dogs", "--json"]
    plain, again, cosine = (
        json.loads(pairscope(*command, *more).stdout)["hits"]
        for more in ([], ["--rerank"], ["--rerank", "--u1", 0])
    )
    assert [hit["score"] for hit in plain] != [hit["score"] for hit in again]
    assert [hit["item_id"] for hit in cosine] == [hit["item_id"] for hit in plain]


def test_search_reports_a_query_that_is_too_long(gallery: Path) -> None:
    found = pairscope("search", gallery, "dog " * 100, "-k", 1)
    assert "too long for the model" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  "], "type a few words"),
        (["no such photo.jpg"], "no such file"),
        (["dog", "-k", "0"], "0 results"),
        (["dog", "--words", "3-8"], "search captions"),
        (["dog", "--label", "no such"], "has the label 'no such'"),
        (["dog", "--label", "tree", "--of", "captions"], "Only images can be filtered by label"),
        (["dog", "--words", "8-3", "--of", "captions"], "write 3-8"),
        (["dog", "--words", "few", "--of", "captions"], "'few' is no number of words"),
        (["dog", "--model", f"{MODEL}x"], "Did you mean"),
    ],
)
def test_invalid_searches_are_refused(gallery: Path, arguments: list[str], message: str) -> None:
    result = pairscope("search", gallery, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_search_in_a_folder_that_is_no_gallery(tmp_path: Path) -> None:
    result = pairscope("search", tmp_path, "dog")
    assert result.exit_code == 2
    assert f"pairscope build {tmp_path} --out {tmp_path}-gallery" in result.stderr


# ---- data


def test_data_show_counts_the_source() -> None:
    shown = json.loads(pairscope("data", "show", SOURCE, "--json").stdout)
    pairs = load_pairs(SOURCE)
    assert (shown["images"], shown["captions"], shown["fingerprint"]) == (12, 60, pairs.fingerprint)
    lengths = [len(text.split()) for text in pairs.flat_captions()[0]]
    assert shown["words_per_caption"] == {
        "least": min(lengths), "mean": round(float(np.mean(lengths)), 2), "most": max(lengths),
    }  # fmt: skip
    dogs = sum("dog" in labels for labels in pairs.labels or [])
    assert shown["labels"].get("dog", 0) == dogs
    assert "picturebook:test@12" in pairscope("data", "show", SOURCE).stdout


@pytest.mark.parametrize(
    ("layout", "spec"),
    [("parquet", "{}"), ("karpathy", "{}/dataset.json:test"), ("folder", "{}")],
)
def test_an_export_loads_as_the_same_pairs(layout: str, spec: str, tmp_path: Path) -> None:
    result = pairscope("data", "export", SOURCE, "--to", layout, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    pairs, copy = load_pairs(SOURCE), load_pairs(spec.format(tmp_path / "out"))
    assert copy.image_ids == pairs.image_ids
    assert copy.captions == pairs.captions
    assert copy.labels == (None if layout == "karpathy" else pairs.labels)
    for n in (0, 11):
        np.testing.assert_array_equal(np.asarray(copy.image(n)), np.asarray(pairs.image(n)))
    again = pairscope("data", "export", SOURCE, "--to", layout, "--out", tmp_path / "out")
    assert again.exit_code == 2
    assert "already exists" in again.stderr


def test_export_lists_skipped_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.effect_noise((99, 99), 50).save(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes((tmp_path / "in" / "good.png").read_bytes()[:900])
    result = pairscope("data", "export", tmp_path / "in", "--to", "folder", "--out", tmp_path / "out")
    assert "skipped bad.png" in result.stderr
    assert "1 images" in result.stdout


def test_contact_sheet_is_a_large_png(tmp_path: Path) -> None:
    assert pairscope("data", "contact-sheet", "--out", tmp_path / "sheet.png").exit_code == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 500


# ---- models


def test_train_has_an_option_for_every_setting() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).stdout
    for name in TrainConfig.model_fields:
        assert f"--{name.replace('_', '-')} " in shown
    assert "Range: at least 0 and below 1." in " ".join(shown.split())


def test_train_then_evaluate(tmp_path: Path) -> None:
    command = ["train", "--method", "infonce", "--source", "picturebook:train@24", "--model", MODEL]
    command += ["--vocab-size", "300", "--max-steps", "2", "--batch-size", "8", "--device", "cpu"]
    command += ["--out", str(tmp_path / "model")]
    refused = pairscope(*command, "--columns", "captions=words")
    assert refused.exit_code == 2
    assert "has no option columns" in refused.stderr
    trained = pairscope(*command)
    assert trained.exit_code == 0, trained.output
    measured = pairscope("evaluate", "--model", tmp_path / "model", "--source", SOURCE, "--json")
    figures = json.loads(measured.stdout)
    recalls = [figures[f"{direction}_r{k}"] for direction in ("t2i", "i2t") for k in (1, 5, 10)]
    assert figures["rsum"] == pytest.approx(sum(recalls))
    assert figures["n_captions"] == 60
    table = pairscope("evaluate", "--model", tmp_path / "model", "--source", SOURCE).stdout
    assert re.search(rf"rSum +│ {figures['rsum']:.1f} \[", table)
    assert max(map(len, table.splitlines()[1:])) <= 80


def test_evaluate_prints_every_protocol_and_writes_the_same_values(tmp_path: Path) -> None:
    command = ["evaluate", "--model", MODEL, "--source", "picturebook:test@5", "--rerank"]
    command += [
        "--protocol",
        "exact",
        "--protocol",
        "labels",
        "--out",
        str(tmp_path / "new" / "figures.json"),
    ]
    table = pairscope(*command).stdout
    assert [row.split("│")[1].strip() for row in table.splitlines() if "R@1 " in row] == ["R@1", "R@1"]
    for text in ("Ground truth: exact relevance", "Ground truth: shared labels", "the 100 best re-ranked"):
        assert text in table
    figures = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert {row["protocol"] for row in figures["rows"]} == {"exact", "labels", "reranked"}
    assert f"{figures['exact_t2i_map_at_r']:.1f} [" in table
    compared = pairscope(*command[:5], "--against", MODEL).stdout
    assert re.search(r"T2I R@1 .*│ \+0\.0 \[\+0\.0, \+0\.0\] +│ 1\.000", compared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ray-address", "host:6379"], "--ray-address host:6379 has an effect with --engine ray only"),
        (["--engine", "ray", "--runtime", "onnx"], "--runtime onnx has no effect on --engine ray"),
    ],
)
def test_build_refuses_options_of_another_engine(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = pairscope("build", SOURCE, "--out", tmp_path / "gallery", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_evaluate_refuses_an_unknown_protocol() -> None:
    result = pairscope("evaluate", "--model", MODEL, "--source", "picturebook:test@5", "--protocol", "exakt")
    assert result.exit_code == 2
    assert "Did you mean 'exact'?" in result.stderr


def test_train_refuses_an_unknown_method(tmp_path: Path) -> None:
    result = pairscope(
        "train", "--method", "infonse", "--source", SOURCE, "--model", MODEL, "--out", tmp_path / "model"
    )
    assert result.exit_code == 2
    assert "Did you mean 'infonce'?" in result.stderr
