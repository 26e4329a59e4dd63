"""Scored text pairs: one file, and the layout of SentEval."""

from pathlib import Path

import pytest

from itr_core.errors import SourceError
from itr_core.evaluation.text_pairs import read_text_pairs


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def senteval(root: Path) -> Path:
    """Two years, the benchmark and SICK, with a few lines each."""
    year = root / "STS" / "STS12-en-test"
    write(year / "STS.input.MSRvid.txt", "a man\ta person", "a dog\ta car")
    write(year / "STS.gs.MSRvid.txt", "4.2", "0.5")
    write(year / "STS.input.MSRpar.txt", "one\ttwo")
    write(year / "STS.gs.MSRpar.txt", "3")
    year = root / "STS" / "STS16-en-test"
    write(year / "STS.input.headlines.txt", "scored\tpair", "not\tscored")
    write(year / "STS.gs.headlines.txt", "1", "")
    write(
        root / "STS" / "STSBenchmark" / "sts-test.csv",
        "main-captions\tMSRvid\t2012test\t0024\t2.500\tA girl\tA woman",
    )
    write(
        root / "SICK" / "SICK_test_annotated.txt",
        "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment",
        "6\tNo boy\tA boy\t3.3\tNEUTRAL",
    )
    return root


def test_one_file(tmp_path: Path) -> None:
    path = write(tmp_path / "sts.tsv", "a dog\ta puppy\t4.5", "a dog\ta plane\t0")
    (found,) = read_text_pairs([path])
    assert (found.name, found.first, found.second) == ("", ["a dog"] * 2, ["a puppy", "a plane"])
    assert found.scores.tolist() == [4.5, 0]


def test_several_files_are_named_by_their_files(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.tsv", "a\tb\t1") for name in ("one", "two")]
    assert [found.name for found in read_text_pairs(paths)] == ["one", "two"]
    with pytest.raises(SourceError, match="Two sets of text pairs are called 'one'"):
        read_text_pairs([paths[0], paths[0]])


def test_every_set_of_senteval(tmp_path: Path) -> None:
    sets = {found.name: found for found in read_text_pairs([senteval(tmp_path)])}
    assert [*sets] == ["12", "16", "b", "sick-r"]
    assert sets["12"].first == ["one", "a man", "a dog"]  # all files of a year, in the order of their names
    assert sets["12"].scores.tolist() == [3, 4.2, 0.5]
    assert sets["16"].second == ["pair"]  # the pair without a score is left out
    assert (sets["b"].first, sets["b"].second, sets["b"].scores.tolist()) == (["A girl"], ["A woman"], [2.5])
    assert (sets["sick-r"].first, sets["sick-r"].scores.tolist()) == (["No boy"], [3.3])


def test_the_folder_of_one_set(tmp_path: Path) -> None:
    root = senteval(tmp_path)
    folders = (root / "STS" / "STS16-en-test", root / "STS" / "STSBenchmark", root / "SICK")
    assert [found.name for folder in folders for found in read_text_pairs([folder])] == ["16", "b", "sick-r"]


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("sts.tsv", ["a dog\ta puppy\tquite"], "line 1: 'quite' is not a number"),
        ("sts.tsv", ["a dog\ta puppy"], "line 1: 2 columns, expected 3 separated by tabs"),
        ("sts.tsv", [], "is empty"),
        ("STS/STS16-en-test/STS.gs.headlines.txt", ["1"], "has 2 lines, but STS.gs.headlines.txt has 1"),
        (
            "STS/STS16-en-test/STS.input.headlines.txt",
            ["one", "two"],
            "line 1: one column, expected two texts",
        ),
        ("STS/STSBenchmark/sts-test.csv", ["a\tb"], "line 1: 2 columns, expected at least 7"),
        ("SICK/SICK_test_annotated.txt", ["head", "6\ta\tb"], "line 2: 3 columns, expected at least 4"),
        ("sts.tsv", ["a dog\ta puppy\tnan"], "line 1: 'nan' is not a number"),
        ("SICK/SICK_test_annotated.txt", ["head"], r"annotated\.txt: no pair of texts has a score\. Copy or"),
        ("STS/STS16-en-test/STS.gs.headlines.txt", ["", ""], "STS16-en-test: no pair of texts has a score"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, file: str, lines: list[str], message: str) -> None:
    senteval(tmp_path)
    path = write(tmp_path / file, *lines)
    with pytest.raises(SourceError, match=message):
        read_text_pairs([path if file == "sts.tsv" else tmp_path])


def test_a_folder_without_sets_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no set of text pairs\. Expected STS12-en-test"):
        read_text_pairs([tmp_path])
    with pytest.raises(SourceError, match=r"missing\.tsv: cannot be read"):
        read_text_pairs([tmp_path / "missing.tsv"])
