"""Whether two checkouts of Pairscope give the same results, to the last digit.

    python benchmarks/same_results.py BEFORE AFTER [--keep DIR] [--only CASE ...]

BEFORE and AFTER are the roots of two git checkouts. Each runs, on its own code, every case below: sources,
evaluations of the shipped models, galleries, their analysis, searches, binary codes and short trainings. Then
AFTER opens the galleries that BEFORE built and resumes the trainings that BEFORE was stopped in. Every
difference is printed with its path; the exit code is 1 if there is one. On two cores it takes about half an
hour for each checkout.

With --keep, the outputs stay in DIR, in a folder for each state of the code, and are used again as long as
neither a checkout's code nor a library has changed. After a change of the cases here, take another folder.
"""

import csv
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from checkouts import Checkout, identity
from differences import Json, differences, renamed, without

RENAMED_KEYS = {
    "way": "direction",
    "measure": "metric",
    "hidden_misses": "false_negatives",
    "hidden_answers": "unannotated_first_answers",
    "said": "captioned",
    "shown": "depicted",
}
"""Keys, columns and names of metrics that a release changes on purpose, BEFORE -> AFTER."""

RENAMED_TEXTS = {
    "metric": {name: RENAMED_KEYS[name] for name in ("hidden_misses", "hidden_answers")},
    "cause": {"hidden positive": "false negative"},
}
"""Values that it changes, for each key of AFTER."""

IGNORED = {
    "code_version",  # the version and a hash of the source code
    "code",  # the same, in the table of galleries
    "created",  # when a gallery was built
    "checksum",  # of a gallery's manifest, which holds `created`
    "seconds",  # how long a command took
    "pairs_per_s",  # how fast a training was
}
"""Keys and columns that cannot be the same in two runs."""

STARTERS = (
    "infonce", "infonce-continued", "infonce-continued-2", "crcgs", "coder", "ascl", "cusa",
    "small", "small-untrained", "small-hot", "small-cold", "small-batch-8", "small-no-colours",
)  # fmt: skip
PROTOCOLS = ("standard", "exact", "uni-modal", "labels")
SPLITS = ("train", "val", "test", "gallery", "test_unseen", "train@200", "gallery@200")
EVALUATED = {"crcgs": ["--against", "starter:infonce"], "ascl": ["--rerank"], "coder": ["--sts", "sts.tsv"]}
"""Options with which one starter each is evaluated."""
STS = "a dog on a beach\ta puppy by the sea\t4\na red car\ta blue car\t2.5\nan owl\ta kitchen\t0\n"
LAYOUTS = ("parquet", "karpathy", "folder")
GALLERIES = {name: ["picturebook:gallery@200", "--model", f"starter:{name}", "--no-map"] for name in STARTERS}
GALLERIES["infonce"] = ["picturebook:gallery", "--model", "starter:infonce", "--map"]
GALLERIES["ascl"] += ["--tokens"]
GALLERIES["folder"] = ["folder:exported/folder", "--model", "starter:infonce", "--no-map"]
"""Source and options of each. The last one has captions only, so the causes of misses are told by words."""
SEARCHES: dict[str, list[object]] = {
    "words": ["galleries/infonce", "two dogs on a beach", "-k", 20],
    "captions": ["galleries/crcgs", "a red car", "--of", "captions"],
    "unseen and too long": ["galleries/coder", "a zyzzyva and a dog " * 40],
    "image": ["galleries/infonce", "galleries/infonce/thumbnails/000/000004.webp"],
    "image to images": ["galleries/cusa", "galleries/cusa/thumbnails/000/000007.webp", "--of", "images"],
    "reranked": ["galleries/ascl", "a cat sleeping on a sofa", "--rerank"],
    "reranked image": [
        *("galleries/ascl", "galleries/ascl/thumbnails/000/000011.webp"),
        *("--rerank", "--u1", 0.5),
    ],
}
"""Gallery, query, options."""
STEPS = 12
"""Of each training: two entries in the log, and enough to be stopped in between."""
SMALL = [
    *("--source", "picturebook:train@200", "--batch-size", 16, "--max-steps", STEPS, "--save-every", 1),
    *("--device", "cpu", "--seed", 3),
]
FRESH = [
    *(*SMALL, "--model", "picturebook-vit/none", "--vocab-size", 300),
    *("--jitter", 0.2, "--word-dropout", 0.1),
]
TRAININGS = {
    name: ["--method", name, *FRESH] for name in ("infonce", "siglip", "crcgs", "ascl", "cusa", "ascl+cusa")
}
TRAININGS["coder"] = ["--method", "coder", *FRESH, "--options", "queue=64"]
TRAININGS["from a starter"] = [
    *("--method", "infonce", *SMALL, "--model", "starter:infonce", "--image-features", "cache"),
    *("--lr", 0.001),
    *("--validation", "picturebook:val@100", "--eval-every", 6, "--ema-decay", 0.9, "--accumulate", 2),
    *("--captions-per-image", 2, "--encode-batch", 8),
]

Case = Callable[[Checkout], Json]


def _json(text: str) -> Json:
    value: Json = json.loads(text)
    return value


def source(split: str, checkout: Checkout) -> Json:
    """Counts and fingerprint of a split."""
    return _json(checkout.pairscope("data", "show", f"picturebook:{split}", "--json"))


def evaluation(starter: str, checkout: Checkout) -> Json:
    """All figures of a shipped model on the test split."""
    (checkout.folder / "sts.tsv").write_text(STS)
    arguments = ["evaluate", "--model", f"starter:{starter}", "--source", "picturebook:test", "--json"]
    for protocol in PROTOCOLS:
        arguments += ["--protocol", protocol]
    return _json(checkout.pairscope(*arguments, *EVALUATED.get(starter, [])))


def exported(layout: str, checkout: Checkout) -> Json:
    """Hashes of the files that `data export` writes."""
    folder = checkout.folder / "exported" / layout
    shutil.rmtree(folder, ignore_errors=True)
    checkout.pairscope("data", "export", "picturebook:gallery@100", "--to", layout, "--out", folder)
    return {path.name: _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def gallery(name: str, checkout: Checkout) -> Json:
    """What `build` prints, the manifest with the hash of every file, and the results computed at once."""
    folder = Path("galleries") / name
    shutil.rmtree(checkout.folder / folder, ignore_errors=True)
    printed = _json(checkout.pairscope("build", *GALLERIES[name], "--out", folder, "--json"))
    manifest = _json((checkout.folder / folder / "manifest.json").read_text())
    return {
        "printed": printed,
        "manifest": manifest,
        "results": _arrays(checkout.folder / folder / "analysis"),
    }


def _arrays(folder: Path) -> Json:
    """Hashes of all arrays that are kept as NAME.KEY.DIGEST.npz: ranks, maps, calibration."""
    found: dict[str, Json] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            found[path.name.partition(".")[0]] = {
                name: [*array.shape, sha256(np.ascontiguousarray(array).data).hexdigest()]
                for name, array in arrays.items()
            }
    return found


def analysis(names: Iterable[str], checkout: Checkout) -> Json:
    """Every table of some galleries, as JSON and as CSV."""
    tables = checkout.folder / "tables"
    shutil.rmtree(tables, ignore_errors=True)
    folders = [f"galleries/{name}" for name in names]
    printed = _json(checkout.pairscope("analyze", *folders, "--csv", tables.name, "--json"))
    written: dict[str, Json] = {}
    for path in sorted(tables.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            written[path.stem] = [{**row} for row in csv.DictReader(file)]
    return {"printed": printed, "csv": written}


def search(name: str, checkout: Checkout) -> Json:
    """Return the answers to a query."""
    return _json(checkout.pairscope("search", *SEARCHES[name], "--json"))


def codes(checkout: Checkout) -> Json:
    """What binary codes find."""
    arguments = ["starter:crcgs", "picturebook:test@300", "--bits", 16, "--json"]
    return _json(checkout.pairscope("hash", *arguments))


def training(name: str, checkout: Checkout) -> Json:
    """The log and the weights of an unbroken training."""
    folder = checkout.folder / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    checkout.pairscope("train", *TRAININGS[name], "--out", folder)
    return _trained(folder)


def stopped(name: str, checkout: Checkout) -> Json:
    """Stop a training by SIGINT once its first state is saved; `resumed` goes on with it."""
    folder = checkout.folder / "stopped" / name
    shutil.rmtree(folder, ignore_errors=True)
    process = checkout.start(*checkout.command("train", *TRAININGS[name], "--out", folder))
    while process.poll() is None and not (folder / "state.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    if process.returncode != 130:
        raise RuntimeError(f"exit code {process.returncode} where 130 tells of a stop\n{stderr[-1000:]}")
    return {"stopped": True}


def resumed(name: str, checkout: Checkout) -> Json:
    """The log and the weights of a training that was stopped and goes on."""
    folder = checkout.folder / "stopped" / name
    checkout.pairscope("train", *TRAININGS[name], "--out", folder, "--resume")
    return _trained(folder)


def _trained(folder: Path) -> Json:
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    weights = [*folder.glob("*model.safetensors"), *folder.glob("heads.safetensors")]
    return {"log": log, "sha256": {path.name: _sha256(path) for path in weights}}


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


ANALYSES: dict[str, Case] = {
    "analysis/infonce": partial(analysis, ["infonce"]),
    "analysis/others": partial(analysis, [name for name in STARTERS if name != "infonce"]),
    "analysis/folder": partial(analysis, ["folder"]),
}
FOUND: dict[str, Case] = {f"search/{name}": partial(search, name) for name in SEARCHES}
CASES: dict[str, Case] = (
    {f"source/{split}": partial(source, split) for split in SPLITS}
    | {f"training/{name}": partial(training, name) for name in TRAININGS}
    | {f"evaluation/{name}": partial(evaluation, name) for name in STARTERS}
    | {f"exported/{name}": partial(exported, name) for name in LAYOUTS}
    | {f"gallery/{name}": partial(gallery, name) for name in GALLERIES}
    | ANALYSES
    | FOUND
    | {"codes": codes}
)
"""What each checkout computes by itself, in this order: the galleries come before what reads them."""
STOPPED: dict[str, Case] = {f"stopped/{name}": partial(stopped, name) for name in TRAININGS}
"""What BEFORE leaves unfinished."""
INHERITED: dict[str, tuple[Case, str]] = (
    {f"before's gallery, {name}": (case, name) for name, case in (ANALYSES | FOUND).items()}
    | {f"resumed/{name}": (partial(resumed, name), f"training/{name}") for name in TRAININGS}
)  # fmt: skip
"""What AFTER does with the folders of BEFORE, and the case of BEFORE that must give the same."""


def output(name: str, case: Case, checkout: Checkout) -> Json:
    """Return what a case gives; it runs only if that is not there yet."""
    path = checkout.folder / "outputs" / f"{name.replace('/', '-')}.json"
    if not path.exists():
        print(f"running {name} in {checkout.path}", file=sys.stderr, flush=True)
        checkout.folder.mkdir(parents=True, exist_ok=True)
        value = case(checkout)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1))
    return _json(path.read_text())


def compared(name: str, before: Callable[[], Json], after: Callable[[], Json]) -> int:
    """Print what differs between the two; return the number of differences. A failure is one."""
    try:
        values = [without(value(), IGNORED) for value in (before, after)]
        found = list(differences(renamed(values[0], RENAMED_KEYS, RENAMED_TEXTS), values[1]))
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        found = [f"failed: {error}"]
    print(f"{f'{len(found)} differences' if found else 'same'}: {name}", flush=True)
    for line in found:
        print(f"    {line}")
    return len(found)


def main(
    before: Annotated[Path, typer.Argument(help="Root of the checkout whose results are to be kept.")],
    after: Annotated[Path, typer.Argument(help="Root of the checkout that should give the same.")],
    keep: Annotated[Path | None, typer.Option(help="Folder for outputs, to be used again.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CASE", help="Run only cases that begin so, such as evaluation; repeat for several."
        ),
    ] = None,
) -> None:
    """Compare the results of two checkouts to the last digit."""
    with tempfile.TemporaryDirectory() as scratch:
        old, new = (_opened(path, keep or Path(scratch)) for path in (before, after))
        total = 0

        def wanted(name: str) -> bool:
            return not only or name.startswith(tuple(only))

        for name, case in CASES.items():
            if wanted(name):
                total += compared(name, partial(output, name, case, old), partial(output, name, case, new))
        for name, case in STOPPED.items():
            if wanted(name):  # how far it came is a matter of chance, so it is not run in AFTER
                total += compared(name, *[partial(output, name, case, old)] * 2)
        heir = Checkout(new.path, Path(scratch) / "inherited")
        for part in ("galleries", "stopped"):
            if (old.folder / part).exists():
                shutil.copytree(old.folder / part, heir.folder / part)
        for name, (case, same_as) in INHERITED.items():
            if wanted(name):
                expected = partial(output, same_as, CASES[same_as], old)
                total += compared(name, expected, partial(output, name, case, heir))
    print(f"{total} differences in all" if total else "All results are the same.")
    raise typer.Exit(bool(total))


def _opened(path: Path, keep: Path) -> Checkout:
    checkout = Checkout(path.resolve(), keep.resolve() / identity(path))
    checkout.check()
    return checkout


if __name__ == "__main__":
    typer.run(main)
