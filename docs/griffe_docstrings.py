"""Griffe extension: docstrings as Markdown, with examples as code and names of the packages as links."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n[ \t]*\n|\Z)", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"`((?:itr_core|analysis)(?:\.\w+)+)`")


class Docstrings(griffe.Extension):
    """Changes the text of every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put doctests between fences (Markdown takes `>>>` for quotations), and link full names."""
        if obj.docstring is not None:
            text = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            # optional: a name that is not on a page stays code, without a warning
            link = r'<autoref optional identifier="\1"><code>\1</code></autoref>'
            obj.docstring.value = NAME.sub(link, text)
