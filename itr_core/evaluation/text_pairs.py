"""Read scored text pairs: one tab-separated file, or the STS sets in the layout of SentEval."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from itr_core.errors import SourceError

_YEAR = re.compile(r"STS(\d\d)-en-test")


class _Table(NamedTuple):
    """A file with one pair per line: its columns, counted from 0, of the first text and of the score."""

    name: str
    folder: str
    file: str
    text: int
    score: int
    header_lines: int


_TABLES = (
    _Table("b", "STSBenchmark", "sts-test.csv", text=5, score=4, header_lines=0),
    _Table("sick-r", "SICK", "SICK_test_annotated.txt", text=1, score=3, header_lines=1),
)


class TextPairs(NamedTuple):
    """One set of text pairs with the scores of people; `name` is empty for a single file."""

    name: str
    first: list[str]
    second: list[str]
    scores: np.ndarray


def read_text_pairs(paths: Sequence[Path]) -> list[TextPairs]:
    """Read sets of scored text pairs.

    Args:
        paths: files of lines `text1 <tab> text2 <tab> score`, and folders in the layout of SentEval. Of such
            a folder every set is read: 12 to 16 (all files of a year are one set), b (the test split of the
            STS benchmark) and sick-r (the test split of SICK). A folder may also be that of one set.

    Returns:
        The sets; a file has its name without suffix, or none if it is the only path.

    Raises:
        SourceError: a file or a line cannot be read, a folder has no such set, a set has no pair with a
            score, or a name occurs twice.

    References:
        Conneau & Kiela, SentEval, LREC 2018. All files of a year are correlated as one set, the setting
        "all" of Gao et al., SimCSE, EMNLP 2021.
    """
    sets = [
        each
        for path in paths
        for each in (_of_folder(path) if path.is_dir() else [_of_file(path, len(paths) > 1)])
    ]
    names = [each.name for each in sets]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise SourceError(f"Two sets of text pairs are called {repeated!r}; give each file another name.")
    return sets


def tab_separated(path: Path, columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of every line of a file.

    Raises:
        SourceError: the file cannot be read or is empty, or a line has not as many fields as `columns` says.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read ({error}).") from error
    if not lines:
        raise SourceError(f"{path} is empty.")
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if columns is not None and len(fields) != columns:
            raise SourceError(
                f"{path}, line {number}: {len(fields)} columns, expected {columns} separated by tabs."
            )
        yield number, fields


def _of_file(path: Path, named: bool) -> TextPairs:
    rows = ((one, other, _number(path, line, score)) for line, (one, other, score) in tab_separated(path, 3))
    return _text_pairs(path, path.stem if named else "", rows)


def _of_folder(folder: Path) -> list[TextPairs]:
    root = folder.resolve()
    folders = [root, *sorted(each for each in root.rglob("*") if each.is_dir())]
    years = {found[1]: each for each in folders if (found := _YEAR.fullmatch(each.name))}
    sets = [
        _text_pairs(
            of_year, year, chain.from_iterable(map(_scored_texts, sorted(of_year.glob("STS.input.*.txt"))))
        )
        for year, of_year in sorted(years.items())
    ]
    for table in _TABLES:
        files = [each / table.file for each in folders if each.name == table.folder]
        sets += [_text_pairs(file, table.name, _rows(file, table)) for file in files if file.is_file()]
    if not sets:
        raise SourceError(
            f"{folder}: no set of text pairs. Expected STS12-en-test/STS.input.*.txt with STS.gs.*.txt (to "
            "STS16), STSBenchmark/sts-test.csv or SICK/SICK_test_annotated.txt, or one tab-separated file."
        )
    return sets


def _scored_texts(texts: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the pairs of a file of SemEval that have a score in the file beside it."""
    scores = texts.with_name(texts.name.replace("STS.input", "STS.gs"))
    pairs, given = list(tab_separated(texts)), list(tab_separated(scores))
    if len(pairs) != len(given):
        raise SourceError(f"{texts} has {len(pairs)} lines, but {scores.name} has {len(given)}.")
    for (line, fields), (_, (score, *_)) in zip(pairs, given, strict=True):
        if len(fields) < 2:
            raise SourceError(f"{texts}, line {line}: one column, expected two texts separated by a tab.")
        if score.strip():  # in STS16, only some pairs were scored
            yield fields[0], fields[1], _number(scores, line, score)


def _rows(path: Path, table: _Table) -> Iterator[tuple[str, str, float]]:
    for line, fields in tab_separated(path):
        if line <= table.header_lines:
            continue
        needed = max(table.text + 2, table.score + 1)
        if len(fields) < needed:
            raise SourceError(f"{path}, line {line}: {len(fields)} columns, expected at least {needed}.")
        yield fields[table.text], fields[table.text + 1], _number(path, line, fields[table.score])


def _number(path: Path, line: int, score: str) -> float:
    try:
        number = float(score)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise SourceError(f"{path}, line {line}: {score!r} is not a number.")
    return number


def _text_pairs(path: Path, name: str, rows: Iterable[tuple[str, str, float]]) -> TextPairs:
    scored = [*rows]
    if not scored:
        raise SourceError(f"{path}: no pair of texts has a score. Copy or download the set again.")
    first, second, scores = ([*column] for column in zip(*scored, strict=True))
    return TextPairs(name, first, second, np.array(scores))
