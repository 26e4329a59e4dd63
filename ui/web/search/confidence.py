"""The verdict on a search in plain words."""

from analysis.verdict import Level, Verdict
from ui.web import html

FEW = 0.1
"""Share of pictures that may look like photos by mistake."""
_SIGNS: dict[Level, str] = {"good": "✓", "unsure": "?", "unlikely": "✕", "unfamiliar": "✕"}


def line_on_query(verdict: Verdict | None, *, negated: bool = False) -> dict[str, str] | None:
    """Return the verdict on a query as values of `status.html`; None if there is none.

    Args:
        verdict: On the query.
        negated: The query says what should be absent, and this is not subtracted.
    """
    if verdict is None:
        return None
    if negated and verdict.level == "good":
        return _line("unsure", "Unsure", "The model may not understand what should be absent.")
    share = html.share(verdict.rate)
    texts: dict[Level, tuple[str, str]] = {
        "good": ("Probably here", ""),
        "unsure": ("Unsure", f"Only {share} of the queries with a match here score as low."),
        "unlikely": ("Probably not here", f"Only {share} of the queries with a match here score this low."),
    }
    return _line(verdict.level, *texts[verdict.level])


def line_on_picture(verdict: Verdict | None, *, drawings: bool) -> dict[str, str] | None:
    """Return the verdict on a picture as values of `status.html`; None if it is like those of the gallery.

    Args:
        verdict: On the picture.
        drawings: The gallery is Picturebook, whose models have only seen drawings.
    """
    if verdict is None or verdict.level == "good":
        return None
    reason = f"Only {html.share(verdict.rate)} of the pictures here are as unusual to the model."
    if drawings:
        return _line("unfamiliar", "This looks like a photo; I only know drawings.", reason)
    return _line("unfamiliar", "This picture is unlike those of the gallery.", reason)


def line_on_photos(photos: int, pictures: int) -> dict[str, str] | None:
    """Return that the model has only seen drawings, as values of `status.html`; None for a few photos.

    Args:
        photos: How many of the visitor's pictures look like photos.
        pictures: How many pictures there are.
    """
    if photos <= FEW * pictures:
        return None
    title = f"{photos} of your {pictures} pictures look like photos; I only know drawings."
    text = "To search photos, Pairscope needs a model that has seen photos, such as ViT-B-32/openai."
    return _line("unfamiliar", title, text)


def _line(level: Level, title: str, text: str) -> dict[str, str]:
    return {"level": level, "sign": _SIGNS[level], "title": title, "text": text}
