"""The table of `benchmarks/README.md`: a row for each benchmark, with a headline figure from its result."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from result_tables import cell_text
from results import Cell, Column, Measurement, Result

DETAILS = "../docs/explanation/"


@dataclass(frozen=True)
class Benchmark:
    """A row of the index.

    Attributes:
        measures: what is measured.
        peer: what it is compared with.
        command: script and arguments.
        headline: text with figures in braces, `{result/table/row/column}`; `.difference` after the column
            shows the difference to the baseline.
        page: page and section with the details, below `docs/explanation/`.
    """

    measures: str
    peer: str
    command: str
    headline: str
    page: str


INDEX = (
    Benchmark(
        "starter models on Picturebook",
        "goals set before training",
        "starter.py measure",
        "T2I R@1 of full captions {starters/yardstick/full caption, T2I R@1/starter:infonce}, goal "
        "{starters/yardstick/full caption, T2I R@1/goal}",
        "results.md#starter-models",
    ),
    Benchmark(
        "typed queries in the demo gallery",
        "goals set before training",
        "starter.py typed --drawn",
        "{starter_typed/typed/all/starter:infonce} % of the true images among the first 12, goal "
        "{starter_typed/typed/all/goal}",
        "results.md#typed-queries",
    ),
    Benchmark(
        "retrieval by each method on Picturebook",
        "InfoNCE, same budget",
        "methods.py run picturebook --out DIR",
        "rSum of CODER {methods_picturebook/main_recall/coder/rsum.difference} against InfoNCE in earlier "
        "figures; keys frozen at the start do as well",
        "methods-compared.md#picturebook",
    ),
    Benchmark(
        "retrieval by each method on Flickr8k features (dev)",
        "InfoNCE, same budget",
        "methods.py run features --data DATA --out DIR",
        "rSum of CUSA {methods_features/main_recall/cusa/rsum.difference} against InfoNCE",
        "methods-compared.md#features-of-flickr8k-photos",
    ),
    Benchmark(
        "one model trained on Flickr8k (dev)",
        "linear CCA",
        "flickr8k.py features DATA --out DIR",
        "rSum {flickr8k_features/dev/features, ensemble of 3 trainings/rsum}; CCA "
        "{flickr8k_baselines/dev/linear CCA on the features/rsum}",
        "results.md#flickr8k",
    ),
    Benchmark(
        "alignment, uniformity and modality gap of the starters",
        "InfoNCE continued",
        "starter_geometry.py GALLERY...",
        "alignment of CODER {starter_geometry/geometry/coder/alignment}, of InfoNCE "
        "{starter_geometry/geometry/infonce-continued/alignment}",
        "results.md#alignment-and-uniformity-of-the-starters",
    ),
    Benchmark(
        "causes of misses at rank 1, and edits that go unnoticed",
        "exact relevance",
        "misses.py GALLERY",
        "{misses/causes/false negative/t2i_truth} % of T2I misses are false negatives",
        "results.md#causes-of-misses",
    ),
    Benchmark(
        "detecting queries without a match",
        "one threshold on the best score",
        "calibration.py",
        "AUROC {calibration/auroc/both tests of `analysis.calibration`/captions} instead of "
        "{calibration/auroc/best score/captions}",
        "results.md#queries-without-a-match",
    ),
    Benchmark(
        "minus terms, pictures with a change, verdicts and rankings without a word",
        "the words as they are; a search for each change",
        "search_page.py GALLERY",
        '"without X": {search_page/minus/minus terms, weight 0.5/found} pictures right instead of '
        "{search_page/minus/words as they are/found}",
        "results.md#minus-terms-changes-and-verdicts",
    ),
    Benchmark(
        "memory and time of large batches",
        "open_clip's `ClipLoss`",
        "large_batch.py",
        "4,096 pairs: {large_batch/loss/4,096/blocks_memory} MiB instead of "
        "{large_batch/loss/4,096/open_clip_memory}",
        "results.md#large-batches",
    ),
    Benchmark(
        "the page Compare, and its noise band",
        "goals of 60 and 120 ms; two seeds of one method",
        "comparison.py GALLERY GALLERY",
        "{comparison/milliseconds/2 models/p50} ms for two models; two seeds called different in {comparison/"
        "noise/starter:infonce-continued and starter:infonce-continued-2/all} % of queries, goal 5",
        "results.md#comparison-of-models",
    ),
    Benchmark(
        "marks of the search page",
        "what the generator of the queries meant",
        "query_truth.py",
        "{query_truth/marks/500 typed queries/right} % of the marks are right, of "
        "{query_truth/marks/500 typed queries/understood} % of the queries",
        "results.md#marks-of-the-search-page",
    ),
    Benchmark(
        "edits on the page Stage",
        "goals of 150 and 300 ms; of 1 s with ten visitors",
        "stage.py GALLERY",
        "{stage/edits/one visitor/median} ms, 95 % below {stage/edits/one visitor/p95}; with ten visitors "
        "95 % below {stage/edits/ten visitors/p95}",
        "results.md#stage",
    ),
    Benchmark(
        "the tools of the page Learn",
        "goal of 50 frames per second",
        "learn_page.py URL",
        "{learn_page/times/30 pages at once/frames} frames per second",
        "results.md#learn-page",
    ),
    Benchmark(
        "a visitor's own pictures",
        "goal of 30 s",
        "own_pictures.py",
        "200 photos can be searched after {own_pictures/seconds/200 pictures searchable/seconds} s",
        "results.md#own-pictures",
    ),
    Benchmark(
        "opening the analysis page",
        "goal of 2 s",
        "analysis_page.py GALLERY",
        "{analysis_page/seconds/12,000 points/page_first} s for 12,000 points",
        "results.md#analysis-page",
    ),
    Benchmark(
        "memory of the app under load",
        "its memory at the start",
        "soak.py GALLERY",
        "{soak/memory/server/start} MB at the start, {soak/memory/server/later} a minute after the load",
        "results.md#memory-under-load",
    ),
)


def index_table(results: Mapping[str, Result]) -> str:
    """Return the index as a Markdown table."""
    lines = [
        "| measures | compared with | `python benchmarks/` | headline | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for entry in INDEX:
        headline = fill(entry.headline, results)
        link = f"[details]({DETAILS}{entry.page})"
        lines.append(f"| {entry.measures} | {entry.peer} | `{entry.command}` | {headline} | {link} |")
    return "\n".join(lines)


def fill(template: str, results: Mapping[str, Result]) -> str:
    """Replace the figures in braces, see `Benchmark.headline`.

    Raises:
        LookupError: a result, table, row or column that does not exist.
    """
    return re.sub(r"\{([^}]*)\}", lambda match: _figure(match[1], results), template)


def figure(path: str, results: Mapping[str, Result]) -> tuple[Cell, Column]:
    """Return the cell at `result/table/row/column`, and its column.

    Raises:
        LookupError: a result, table, row or column that does not exist.
    """
    try:
        name, table_name, title, key = path.split("/")
        table = results[name].tables[table_name]
        return table.row(title).cells[key], table.columns[key]
    except (KeyError, ValueError) as error:
        raise LookupError(f"There is no figure {path!r} in the results ({error}).") from error


def _figure(path: str, results: Mapping[str, Result]) -> str:
    place = path.removesuffix(".difference")
    cell, column = figure(place, results)
    if place != path:
        if not isinstance(cell, Measurement) or cell.difference is None:
            raise LookupError(f"The figure {path!r} has no difference.")
        return cell_text(Measurement(**cell.difference.model_dump()), f"+{column.format}")
    return cell_text(cell, column.format)
