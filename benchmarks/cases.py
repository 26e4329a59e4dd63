"""Run inputs that people really have, and judge what Pairscope makes of them.

    python benchmarks/cases.py FOLDER

FOLDER has the inputs as small folders and files: photo folders, tables, caption files, archives. Each case is
read, or a command is run on it; the table shows the outcome and whether it is the expected one. The exit code
is 1 if a verdict is bad.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from case_checks import COLOURS, Case, colours, reads, refuses, runs
from soak import free_port

MODEL = "picturebook-vit/none"


def captions_and_columns() -> list[Case]:
    """Caption files beside photos."""
    names = (
        "sentence",
        "description",
        "caption_1",
        "title",
        "query",
        "short_caption",
        "blip_caption",
        "prompt",
    )
    return [
        colours("folder:flickr30k_kaggle", "A * ball number 0.", "A * ball number 1."),
        colours("folder:meta_csv_comma", "A * ball, lying on white paper"),
        colours("folder:list_string", "a * ball", "one round * thing"),
        colours("folder:meta_prompt", "a * ball on paper"),
        colours("folder:meta_header_space"),
        *(colours(f"folder:cols/{name}") for name in (*names, "image_caption", "caption_en", "TEXT")),
        *(refuses(f"folder:cols/{name}", name, "--columns") for name in ("sentids", "label", "en")),
        colours("folder:cols/en", columns={"captions": "en"}),
        colours("folder:title"),
        reads("folder:surrogate", {"blue.jpg": ["a blue ball"], "green.jpg": ["a green ball"],
                                   "red.jpg": ["a red ball \ufffd"]}, says=["invalid characters"]),
        reads("folder:nullcap", {"blue.jpg": ["a blue ball", "round"], "green.jpg": [], "red.jpg": []}),
        reads("folder:headerup", {"blue.jpg": [], "green.jpg": [], "red.jpg": ["a red ball"]}),
        colours("folder:bom", 'a * ball, "big"'),
        reads("folder:few_fields", 3, says=["line 2: 2 fields instead of 3"]),
        refuses("folder:twoimg", "image_file_name, target_file_name"),
        reads("folder:lab", 8, labels=["cold", "warm"]),
        reads("folder:pct", {"blue.jpg": [], "green.jpg": [], "red%20ball#1.jpg": ["a red ball"]}),
        *(colours(f"folder:{name}") for name in ("tsv", "semicolon", "sidecar")),
        *(colours(spec) for spec in ("table:tsv/metadata.csv", "table:semicolon/metadata.csv")),
        reads("folder:utf16", {"blue.jpg": [], "green.jpg": [], "red.jpg": ["a red ball"]}),
    ]  # fmt: skip


def annotations() -> list[Case]:
    """Annotations in JSON."""
    balls = dict(enumerate(COLOURS, 1))
    by_number = {str(number): [f"a {colour} ball"] for number, colour in balls.items()}
    karpathy = ("karp", "karp_noraw", "karp_nosplit", "karp_str", "list_karp")
    coco = ("captions", "float_id", "bom", "str_ann_id", "nofilename", "cap_list", "dup_images", "upper")
    blip = {f"images/{name}.jpg": [f"a {name} ball", f"a round {name} thing"] for name in COLOURS}
    return [
        refuses("coco:coco/instances.json", "no captions"),
        *(colours(f"karpathy:coco/{name}.json") for name in karpathy),
        reads("coco:coco/str_ids.json", {name: [f"a {name} ball"] for name in COLOURS}),
        *(reads(f"coco:coco/{name}.json", by_number) for name in coco),
        reads("coco:coco/surr.json", {**by_number, "1": ["a red ball \ufffd"]}, says=["invalid characters"]),
        reads("karpathy:coco/karp_surr.json", {"red.jpg": ["a \ufffd"]}),
        reads("coco:coco/cap_none.json", {**by_number, "1": []}),
        reads("coco:coco/orphans.json", 2, says=["image 3"]),
        reads("karpathy:coco/karp_strcoco.json", 3),
        reads("karpathy:coco/karp_nosent.json", 3),
        *(refuses(f"coco:coco/{name}.json") for name in ("textcaps", "results", "no_images", "trunc")),
        reads("coco/blip.json", blip),
        reads("coco/blip_train.json", {f"x_{name}": [f"a {name} ball"] for name in COLOURS}),
        reads("coco/lines.jsonl", {f"images/{name}.jpg": [f"a {name} ball"] for name in COLOURS}),
    ]  # fmt: skip


def tables() -> list[Case]:
    """Parquet tables with images."""
    numbers = {f"{row:06d}": [f"a {name} ball"] for row, name in enumerate(COLOURS)}
    two = {f"{row:06d}": [f"a {name} ball", f"round {name}"] for row, name in enumerate(COLOURS)}
    rows = {f"{2 * row:06d}": [f"a {name} ball big", f"a {name} ball small"]
            for row, name in enumerate((*COLOURS, "yellow"))}  # fmt: skip
    return [
        reads("pq/id_null.parquet", 4, says=["image_id"]),
        reads("pq/float_id.parquet", {"1": ["a red ball"], "000001": ["a green ball"], "2": ["a blue ball"]}),
        reads("pq/liststr.parquet", two),
        reads("pq/empty_bytes.parquet", 2, says=["row 1: empty file (0 bytes)"]),
        reads("pq/null_image.parquet", 2, says=["row 1: no image"]),
        refuses("pq/wino.parquet", "image_0", "image_1"),
        reads("pq/noid_rows.parquet", rows, says=["joined"]),
        reads("pq/longid.parquet", 3),
        reads("pq/label_cap.parquet", numbers, labels=["warm", "cold"]),
        *(reads(f"pq/{name}.parquet", numbers) for name in ("categorical", "hashfirst", "brackets [2019]")),
        reads("pq/cap_and_num.parquet", {key: [*texts, "round", "thing"] for key, texts in numbers.items()}),
        reads("pq/captions_en_dict.parquet", 3, says=["en, de"]),
        reads("pq/captions_en_dict.parquet", numbers, columns={"captions": "captions.en"}),
        refuses("pq/multiling.parquet", "en, de", "--columns"),
        refuses("pq/images_list.parquet", "images, texts"),
        refuses("pq/norows.parquet", "no rows"),
        refuses("pq/trunc.parquet", "trunc.parquet"),
        refuses("pq/url.parquet", "url"),
        *(reads(spec, two) for spec in ("parquet:h [x]", "h [x]", "parquet:alb [2019]/*", "alb [2019]")),
        runs(("data", "show", "pq/multiling.parquet", "--columns", "captions="), says=["3"]),
    ]  # fmt: skip


def files() -> list[Case]:
    """Photo folders, archives and image formats."""
    readable = ("a.avif", "jfif.jfif", "x.jpe", "UPPER.JPG", "emoji😀.jpg")

    def formats() -> tuple[str, bool]:
        from itr_core import load_pairs

        pairs = load_pairs("folder:img")
        named = dict(pairs.skipped)
        unreadable = ("heic.heic", "IMG_1.CR2", "clip.mp4", "mp50.jpg", "zero.jpg")
        left_out = {name: named.get(name, "unsaid") for name in unreadable}
        missing = [name for name in readable if name not in pairs.image_ids]
        return f"not read: {missing}; {left_out}", not missing and "unsaid" not in left_out.values()

    return [
        Case("folder:img", formats),
        reads("folder:img", 1, max_megapixels=60, exclude=["[!m]*", "m[!p]*", "mp[!5]*"]),
        reads("folder:inside", 6),
        reads("folder:nas", 3),
        reads("folder:linked", 1, says=["link"]),
        refuses("folder:onlylinks", "link"),
        refuses("folder:heiconly", "IMG_1.HEIC"),
        reads("folder:classes", 2, labels=["warm", "cold"]),
        reads("wds", 6),
        reads("wds_plain", 3),
        reads("wds_plain/00000.tar", 3),
        reads("zipped/photos.zip", {"red.jpg": []}),
        reads("folder:~/Photos", 6),
        reads("coco:~/coco/c.json", 3, image_root="~/coco"),
        reads("folder:nas", 2, exclude=["red*"]),
    ]


def commands(scratch: Path) -> list[Case]:
    """Whole commands: a gallery without captions, degenerate data, options that contradict each other."""

    def gallery(name: str) -> str:
        return str(scratch / name)

    def build(source: str, name: str, *options: str) -> tuple[str, ...]:
        return ("build", source, "--out", gallery(name), "--no-map", *options)

    def train(source: str, *options: str) -> tuple[str, ...]:
        common = ("--method", "infonce", "--model", MODEL, "--max-steps", "1")
        return ("train", "--source", source, *common, "--out", tempfile.mkdtemp(dir=scratch), *options)

    empty = "empty file (0 bytes)"
    return [
        runs(build("pq/empty_bytes.parquet", "empty"), says=[empty, "1 image"]),
        runs(("evaluate", "--source", "pq/empty_bytes.parquet", "--model", MODEL), says=[empty]),
        runs(train("pq/empty_bytes.parquet"), says=[empty]),
        *(runs(build(f"folder:{name}", name), ("analyze", gallery(name), "--out", gallery(f"{name}.html")))
          for name in ("onecap", "one", "two")),
        runs(build("home/Photos", "plain"), ("search", gallery("plain"), "dozen/red.jpg"), says=["red.jpg"]),
        runs(("analyze", gallery("plain"), "--out", gallery("plain.html"))),
        runs(("search", gallery("plain"), "nowhere.jpg"), code=2, says=["nowhere.jpg"]),
        runs(("search", gallery("plain"), "words/dog", "--text", "--json"), says=['"hits"']),
        runs(("search", gallery("plain"), "words/dog", "--image"), code=2, says=["words/dog"]),
        runs(train("dozen", "--validation", "home/Photos"), code=2, says=["home/Photos", "caption"]),
        runs(train("dozen", "--validation", "nowhere"), code=2, says=["nowhere"]),
        Case("a search for dog beside a file of this name", lambda: beside_a_file(gallery("plain"))),
        Case("app with a mistyped path", mistyped),
        Case("app with a folder of photos", lambda: open_in_app("home/Photos")),
        Case("damaged gallery of a table", lambda: damaged(scratch / "damaged")),
        Case("export of pq/longid.parquet", lambda: round_trip("pq/longid.parquet", scratch)),
        Case("export of pct", lambda: round_trip("folder:pct", scratch)),
        Case("cache folder that cannot be written", lambda: without_cache(scratch)),
    ]  # fmt: skip


def damaged(folder: Path) -> tuple[str, bool]:
    """The command that a damaged gallery suggests names all options that it was built with."""
    from itr_core import Gallery, load_encoder, load_pairs
    from itr_core.errors import GalleryError

    options: dict[str, Any] = {"columns": {"captions": "en"}, "limit": 2}
    Gallery.build(load_pairs("pq/multiling.parquet", **options), load_encoder(MODEL), folder)
    (folder / "items.parquet").write_bytes(b"")
    try:
        Gallery.open(folder)
    except GalleryError as error:
        return str(error), "--columns captions=en" in str(error) and "--limit 2" in str(error)
    return "opened", False


def beside_a_file(gallery: str) -> tuple[str, bool]:
    """Words are words, also if a file is called like them."""
    cases = Path.cwd()
    os.chdir(cases / "words")
    try:
        return runs(("search", gallery, "dog", "--json"), says=['"hits"']).run()
    finally:
        os.chdir(cases)


def mistyped() -> tuple[str, bool]:
    """The app ends with one line that names the path."""
    command = [sys.executable, "-m", "ui.cli", "demo", "--gallery", "nowhere", "--port", str(free_port())]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    except subprocess.TimeoutExpired:
        return "the app was started", False
    except subprocess.CalledProcessError as error:
        return error.stderr, error.returncode == 2 and "nowhere" in error.stderr
    return "no error", False


def open_in_app(source: str) -> tuple[str, bool]:
    """The app opens a plain folder, and pictures and words find its pictures."""
    from PIL import Image

    from ui.web.galleries import Galleries

    galleries = Galleries([source], None)
    (name,) = galleries.names
    searcher = galleries.searcher(name, timeout=120)
    by_words = searcher.search_text("red", 3)
    by_picture = searcher.search_image(Image.open("dozen/red.jpg"), 3, "images")
    return f"{name}: {by_words[0].item_id}, {by_picture[0].item_id}", by_picture[0].item_id == "red.jpg"


def round_trip(source: str, scratch: Path) -> tuple[str, bool]:
    """Every layout restores ids and captions."""
    from itr_core import load_pairs
    from itr_core.pairs.export import export

    pairs = load_pairs(source)
    expected = dict(zip(pairs.image_ids, pairs.captions, strict=True))
    wrong = []
    for layout, file in (("parquet", "pairs.parquet"), ("karpathy", "dataset.json"), ("folder", "")):
        out = Path(tempfile.mkdtemp(dir=scratch)) / layout
        export(pairs, layout, out)  # type: ignore[arg-type]  # the literal type of the layouts
        back = load_pairs(str(out / file))
        if dict(zip(back.image_ids, back.captions, strict=True)) != expected:
            wrong.append(layout)
    return f"other ids or captions after: {', '.join(wrong) or 'none'}", not wrong


def without_cache(scratch: Path) -> tuple[str, bool]:
    """A command works, or says one sentence, if the cache is a path below a file."""
    (scratch / "file").write_text("")
    before = os.environ["PAIRSCOPE_CACHE"]
    os.environ["PAIRSCOPE_CACHE"] = str(scratch / "file" / "cache")
    try:
        outcome, _ = runs(("evaluate", "--source", "pq/liststr.parquet", "--model", MODEL)).run()
    finally:
        os.environ["PAIRSCOPE_CACHE"] = before
    return outcome, "Traceback" not in outcome


def main(
    folder: Annotated[Path, typer.Argument(help="The inputs, as small folders and files.")],
    only: Annotated[str, typer.Option(help="Run the cases whose name contains this text.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Run all cases; the exit code is 1 if a verdict is bad."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder}: no such folder.")
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "cases"
        shutil.copytree(folder, copy, symlinks=True)
        relink(copy)
        os.chdir(copy)
        os.environ.update(HOME=str(copy / "home"), PAIRSCOPE_CACHE=f"{scratch}/cache", HF_HUB_OFFLINE="1")
        groups = (captions_and_columns(), annotations(), tables(), files(), commands(Path(scratch)))
        for case in (case for group in groups for case in group if only in case.name):
            try:
                outcome, good = case.run()
            except Exception as error:  # what a user would see as a traceback
                outcome, good = f"{type(error).__name__}: {error}", False
                place = traceback.extract_tb(error.__traceback__)[-1]
                outcome += f" ({Path(place.filename).name}, line {place.lineno})"
            bad += not good
            show(case.name.replace(scratch, "TMP"), outcome.replace(scratch, "TMP"), good, as_json)
        os.chdir("/")
    typer.echo(f"{bad} bad", err=as_json)
    raise typer.Exit(bool(bad))


def relink(folder: Path) -> None:
    """Let symbolic links that were made in another place lead to the same files below `folder`."""
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        parts = link.readlink().parts
        for target in (folder.joinpath(*parts[-length:]) for length in (1, 2)):
            if target.exists():
                link.unlink()
                link.symlink_to(target)


def show(name: str, outcome: str, good: bool, as_json: bool) -> None:
    """Print one case."""
    name = name.encode("utf-8", "replace").decode()
    if as_json:
        typer.echo(json.dumps({"case": name, "outcome": outcome, "verdict": "good" if good else "bad"}))
    else:
        plain = " ".join(outcome.split())
        typer.echo(f"{'good' if good else 'BAD '}  {name[-60:]:60}  {plain[:150]}")


if __name__ == "__main__":
    typer.run(main)
