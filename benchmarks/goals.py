"""The goals of `make bench`: which figure of which result must reach what, and why some do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from index import DETAILS, figure
from result_tables import cell_text
from results import Cell, Estimate, Range, Result


@dataclass(frozen=True)
class Goal:
    """A line of the table.

    Attributes:
        what: what is measured.
        peer: what it is compared with.
        path: where the figure is, as `result/table/row/column`.
        bound: the goal.
        sense: whether the figure must be at least or at most the bound.
        unit: unit of both.
        why: why the goal is missed; shown only if it is.
    """

    what: str
    peer: str
    path: str
    sense: Literal["at least", "at most"]
    bound: float
    unit: str = ""
    why: str = ""

    def met(self, cell: Cell) -> bool | None:
        """Compare a figure with the goal; all values of a range must reach it. None: it is no number."""
        low, high = _ends(cell)
        if low is None or high is None:
            return None
        return low >= self.bound if self.sense == "at least" else high <= self.bound


def _ends(cell: Cell) -> tuple[float | None, float | None]:
    if isinstance(cell, Range):
        return cell.minimum, cell.maximum
    if isinstance(cell, Estimate):
        return cell.value, cell.value
    return (cell, cell) if isinstance(cell, int | float) else (None, None)


SECTIONS = {
    "text_encoding": "text-encoding",
    "image_encoding": "image-encoding",
    "cold_query": "search-from-the-command-line",
    "http_search": "search-over-http",
    "growth": "cost-as-the-gallery-grows",
    "million": "search-of-a-million-vectors",
    "update": "update-of-a-gallery",
    "metrics_speed": "retrieval-metrics",
    "geometry_cost": "cost-of-alignment-and-uniformity",
    "first_start": "first-start-of-the-app",
    "method_cost": "cost-of-a-training-step",
}
"""Section of `docs/explanation/results.md` with the details of each result."""
BUSY = "other work took the cores meanwhile; see the processor time"
STEP = "method_cost/ratios/{}/time"
GOALS = (
    Goal(
        "text encoding, one caption",
        "open_clip",
        "text_encoding/speed/one query/ratio",
        "at least",
        2.5,
        "times as fast",
        "a short query reads all weights from memory, as a long one",
    ),
    Goal(
        "the same in int8, OpenVINO",
        "open_clip",
        "text_encoding/speed/one query, openvino in int8/ratio",
        "at least",
        6,
        "times as fast",
        "int8 takes half the time of float32, although its weights have a quarter of the bytes",
    ),
    Goal(
        "text encoding, batch of 64",
        "open_clip",
        "text_encoding/speed/batch of 64 captions/ratio",
        "at least",
        7,
        "times as fast",
        "the fewer captions begin alike, the slower: the linear layers run at the speed of the processor",
    ),
    Goal(
        "image encoding in `build`, photos on disk to a gallery",
        "image tower alone",
        "image_encoding/speed/build, photos on disk to a gallery/ratio",
        "at least",
        0.9,
        "of its speed",
        "each photo is decoded, resized and made into a thumbnail, too",
    ),
    Goal(
        "the same in int8, OpenVINO",
        "image tower alone, float32",
        "image_encoding/speed/the same in int8, openvino/ratio",
        "at least",
        2.5,
        "times as fast",
    ),
    Goal(
        "R@1 of starter:infonce in int8, largest loss",
        "float32",
        "image_encoding/quality/largest loss (points)/int8",
        "at most",
        0.3,
        "points",
    ),
    Goal(
        "search from the command line, process start to printed hits, ONNX Runtime",
        "`import torch, open_clip`",
        "cold_query/seconds/the same, --runtime onnx, 500 pictures/seconds",
        "at most",
        1,
        "s",
        BUSY,
    ),
    Goal(
        "the same, 31,000 pictures",
        "`import torch, open_clip`",
        "cold_query/seconds/the same, --runtime onnx, 31,000 pictures/seconds",
        "at most",
        1,
        "s",
        BUSY,
    ),
    Goal(
        "the same, memory",
        "`import torch, open_clip`",
        "cold_query/seconds/the same, --runtime onnx, 31,000 pictures/memory",
        "at most",
        350,
        "MB",
        "nearly half of it is the captions, the embeddings and the manifest of the gallery",
    ),
    *(
        Goal(
            f"search over HTTP, {way}, {pictures} pictures",
            "1.5 times encoding and scan alone",
            f"http_search/latency/{pictures} pictures, {way}/over",
            "at most",
            15,
            "ms more",
            BUSY,
        )
        for pictures in ("2,000", "31,000")
        for way in ("API", "search page")
    ),
    *(
        Goal(
            f"the same, API, {pictures} pictures",
            "clip-retrieval's back end",
            f"http_search/latency/{pictures} pictures, API/peer",
            "at least",
            3,
            "times as fast",
            "a third of the peer's time is little more than encoding and scan alone; a call and its event "
            "stream are two requests",
        )
        for pictures in ("2,000", "31,000")
    ),
    Goal(
        "a million vectors, exact search",
        "faiss Flat",
        "million/search/exact, half precision/speed",
        "at least",
        1.5,
        "times as fast",
    ),
    Goal(
        "a million vectors, approximate search, recall at least 0.99",
        "faiss Flat",
        "million/search/approximate/speed",
        "at least",
        50,
        "times as fast",
        "text queries are far from all images, and half of the lists must be scanned",
    ),
    Goal(
        "the same, memory",
        "faiss Flat",
        "million/search/approximate/share",
        "at most",
        0.6,
        "of its memory",
    ),
    Goal(
        "memory of `build` as the number of photos grows",
        "a small build",
        "growth/growth/growth/memory",
        "at most",
        1500,
        "MB more",
    ),
    Goal(
        "update after 1 % of the pictures changed",
        "building anew",
        "update/seconds/update, 1 % of the pictures changed/ratio",
        "at most",
        0.05,
        "of a build",
    ),
    Goal(
        "ranks of 25,000 captions and 5,000 images",
        "CLIP_benchmark",
        "metrics_speed/time/first call/ratio",
        "at least",
        15,
        "times as fast",
    ),
    Goal(
        "alignment, uniformity and gap of 100,000 pairs: memory",
        "all pairs of a sample, extrapolated",
        "geometry_cost/cost/100,000 pairs/memory",
        "at most",
        2,
        "GB",
    ),
    Goal(
        "the same: growth of the time from 10,000 to 100,000 pairs",
        "10 is linear",
        "geometry_cost/growth/growth/value",
        "at most",
        10,
        "times",
    ),
    Goal(
        "start of the app with an empty cache, to the first answer",
        "goal of 15 s",
        "first_start/seconds/first search answered/seconds",
        "at most",
        15,
        "s",
        "the import of gradio, torch and open_clip alone takes three quarters of it",
    ),
    Goal(
        "the same, started again",
        "`import gradio, torch, open_clip`",
        "first_start/again/first search answered/ratio",
        "at most",
        1.3,
        "times",
    ),
    Goal("training step, CUSA", "InfoNCE", STEP.format("cusa"), "at most", 1.1, "times"),
    Goal("training step, CRCGS", "InfoNCE", STEP.format("crcgs"), "at most", 1.15, "times"),
    Goal("training step, AsCL", "InfoNCE", STEP.format("ascl"), "at most", 1.6, "times"),
    Goal(
        "training step, AsCL with local similarity",
        "InfoNCE",
        STEP.format("ascl, local similarity (u1 = 0.8)"),
        "at most",
        2,
        "times",
    ),
    Goal("training step, CODER", "InfoNCE", STEP.format("coder, queue of 256"), "at most", 1.6, "times"),
)


def goal_table(results: Mapping[str, Result]) -> str:
    """Return the goals as a Markdown table; a figure that was not measured says so."""
    lines = [
        "| goal of `make bench` | compared with | goal | measured | met |",
        "| --- | --- | --- | --- | --- |",
    ]
    for goal in GOALS:
        limit = f"{goal.sense} {goal.bound:g} {goal.unit}".strip()
        try:
            cell, column = figure(goal.path, results)
        except LookupError:
            measured, verdict = "not measured", ""
        else:
            met = goal.met(cell)
            measured = cell_text(cell, column.format)
            verdict = "" if met is None else "yes" if met else f"no: {goal.why}" if goal.why else "no"
        section = f"{DETAILS}results.md#{SECTIONS[goal.path.split('/')[0]]}"
        lines.append(f"| [{goal.what}]({section}) | {goal.peer} | {limit} | {measured} | {verdict} |")
    return "\n".join(lines)
