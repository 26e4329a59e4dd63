"""`pairscope report-card`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from itr_core.errors import PairscopeError
from itr_core.system.garbage import without_search
from ui.cli.options import MODEL_HELP, Device, Json
from ui.cli.output import print_json, print_line, print_table, progress_bar


def report_card(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture to share: FILE.svg or FILE.png.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Largest number of questions of each kind.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the choice of questions.")] = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Test what a model hears: negation, order, counting, attributes, relations and objects.

    Each question has two pictures of Picturebook and two texts that differ in one respect; each text is true
    of one picture. Accuracy is the share of pictures whose true text scores higher. Chance is 50 %.
    """
    if out is not None and out.suffix not in (".svg", ".png"):
        raise PairscopeError(f"--out {out}: the name of the picture must end in .svg or .png.")
    with without_search():
        from analysis.report_card.measure import CHANCE, CHANCE_OF_BOTH, report_card, verdict
        from analysis.report_card.picture import card_png, card_svg
        from itr_core.encoders.dual_encoder import load_encoder
        from itr_core.picturebook.source import WORLD_VERSION
        from itr_core.system.files import whole_file

        encoder = load_encoder(model, device=device).fuse()
    with progress_bar("Encoding pictures") as progress:
        card = report_card(encoder, questions=questions, seed=seed, progress=progress)
    if out is not None:
        svg = card_svg(card, model)
        with whole_file(out) as part:
            part.write_bytes(svg.encode() if out.suffix == ".svg" else card_png(svg))
    if as_json:
        print_json(
            {
                "model": model, "fingerprint": encoder.fingerprint, "world": WORLD_VERSION, "seed": seed,
                "chance": CHANCE, "chance_of_both": CHANCE_OF_BOTH,
                "kinds": json.loads(card.reset_index().to_json(orient="records")),
            }
        )  # fmt: skip
        return
    print_table(
        f"What does {model} hear? Chance is 50 %; 25 % for both pictures.",
        ("", "Accuracy in % [95 % interval]", "Both pictures", "Questions", "", "Example"),
        [
            (
                kind,
                f"{100 * row['accuracy']:.0f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
                f"{100 * row['both']:.0f}",
                row["questions"],
                verdict(row["accuracy"], row["low"]),
                f"{row['text_a']} / {row['text_b']}",
            )
            for kind, row in card.to_dict("index").items()
        ],
    )
    if out is not None:
        print_line(out)
