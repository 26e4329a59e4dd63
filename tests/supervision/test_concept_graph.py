"""Concepts of captions: which words, which belong together, and what else is known of them."""

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from itr_core.errors import SourceError
from itr_core.pairs import PairSet, load_pairs
from itr_core.picturebook.ontology import TRIPLES
from itr_core.supervision import concept_graph as concept_graph_module
from itr_core.supervision.concept_graph import ConceptGraph, concept_graph, normalised
from itr_core.supervision.triples import read_triples
from itr_core.vocabulary import content_words, stem


def pairs_of(*captions: list[str], triples: tuple[tuple[str, str, str], ...] = ()) -> PairSet:
    rows = [{"image": None, "captions": list(texts), "image_id": str(i)} for i, texts in enumerate(captions)]
    return PairSet(Dataset.from_list(rows), source="test", triples=triples)


def neighbours(graph: ConceptGraph, name: str) -> set[str]:
    names = list(graph.names)
    row = graph.adjacency[names.index(name)]
    return {names[column] for column in np.flatnonzero(row)} - {name}


# -- words -----------------------------------------------------------------------------------------------


def test_content_words_are_sorted_by_frequency_without_stop_words_and_numbers() -> None:
    captions = [["The 3 dogs chase 2nd-hand balls", "two dogs and a Ball"], [], ["a dog is with the x"]]
    assert content_words(captions) == ["dogs", "ball", "chase", "hand"]
    assert content_words(captions, size=2) == ["dogs", "ball"]
    assert content_words([[], ["the of 7"]]) == []


def test_equally_frequent_words_are_in_alphabetical_order() -> None:
    captions = [["zebra apple"], ["mango zebras"], ["apples mango"]]
    expected = ["apple", "mango", "zebra"]
    assert content_words(captions) == expected
    assert content_words(captions[::-1]) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [("dog", "dogs"), ("man", "men"), ("snowman", "snowmen"), ("person", "people"), ("child", "children"),
     ("run", "running"), ("bench", "benches"), ("pony", "ponies"), ("dog", "dog's")],
)  # fmt: skip
def test_forms_of_one_word(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_named_in_reads_any_form_and_case() -> None:
    graph = ConceptGraph(["dog", "running", "people"], np.eye(3, dtype=np.float32))
    named = graph.named_in(["Two DOGS run!", "a person with a dog's toy", "", "the dogma"])
    assert named.dtype == bool
    assert named.tolist() == [[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert graph.named_in([]).shape == (0, 3)


def test_named_in_is_fast() -> None:
    texts = load_pairs("picturebook:train@60").flat_captions()[0][:256]
    graph = ConceptGraph(content_words([texts]), np.empty(0))
    graph.named_in(texts)
    times = []
    for _ in range(20):
        start = time.process_time()
        graph.named_in(texts)
        times.append(time.process_time() - start)
    assert min(times) < 0.005  # some 1 ms


# -- graph -----------------------------------------------------------------------------------------------


def test_adjacency_equals_explicit_values() -> None:
    # "dog" 4 times, twice with "ball"; "ball" twice; "sea" once, with nothing; ...
    captions = ["dog ball", "ball dogs", "dog", "dog", "sea"]
    graph = concept_graph(pairs_of(*([text] for text in captions)))
    assert list(graph.names) == ["dog", "ball", "sea"]
    binary = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])  # p(ball | dog) = 0.5, p(dog | ball) = 1
    expected = np.zeros((3, 3))
    weights = np.eye(3)
    for i in range(3):
        for j in range(3):
            if binary[i, j]:
                weights[i, j] += 0.25 / binary[:, j].sum()
    degree = weights.sum(1)
    for i in range(3):
        for j in range(3):
            expected[i, j] = weights[j, i] / np.sqrt(degree[i] * degree[j])
    assert graph.adjacency.dtype == np.float32
    np.testing.assert_allclose(graph.adjacency, expected, rtol=1e-6)


def test_edges_can_be_one_directional() -> None:
    captions = [["dog"]] * 19 + [["dog ball"]]  # p(ball | dog) = 0.05, p(dog | ball) = 1
    edges = concept_graph(pairs_of(*captions)).adjacency > 0
    assert edges.sum() == 3
    one_way = np.array([[0, 0], [1, 0]], bool)
    assert np.array_equal(edges, normalised(one_way) > 0)


def test_threshold_is_that_of_cvse() -> None:
    p = np.linspace(0, 1, 10001)
    cvse = 5 ** (p - 0.02) - 5**-0.02 >= 0.3
    assert p[cvse].min() == pytest.approx(concept_graph_module.MIN_COOCCURRENCE, abs=5e-4)


def test_triples_add_edges_in_both_directions() -> None:
    captions = ["puppy", "pets", "sea", "tree"], ["puppy", "tree"]
    triples = (("Puppies", "IsA", "pet"), ("puppy", "IsA", "farm animal"), ("whale", "AtLocation", "sea"))
    graph = concept_graph(pairs_of(*captions, triples=triples))
    assert neighbours(graph, "puppy") == {"pets"}
    assert neighbours(graph, "pets") == {"puppy"}
    assert neighbours(graph, "sea") == set()


def test_picturebook_provides_triples_of_its_ontology() -> None:
    pairs = load_pairs("picturebook:train@300")
    assert pairs.select([0, 2]).triples == pairs.triples == TRIPLES
    assert {("puppy", "IsA", "pet"), ("cow", "IsA", "animal"), ("kitten", "Synonym", "cat")} <= set(TRIPLES)
    graph = concept_graph(pairs)
    plain = concept_graph(PairSet(pairs.dataset, source="plain"))
    assert "animal" in graph.names
    assert neighbours(graph, "animal") > neighbours(plain, "animal")
    assert "cat" in neighbours(graph, "animal")
    assert len(graph.names) <= 300
    assert np.array_equal(graph.adjacency, concept_graph(pairs).adjacency)


def test_captions_without_words_have_no_concepts() -> None:
    with pytest.raises(SourceError, match="no caption has a content word"):
        concept_graph(pairs_of(["the", "42"], []))


# -- triples ---------------------------------------------------------------------------------------------


def assertion(relation: str, head: str, tail: str) -> str:
    return "\t".join(
        [f"/a/[/r/{relation}/,{head}/,{tail}/]", f"/r/{relation}", head, tail, '{"weight": 1.0}']
    )


CONCEPTNET = "\n".join(
    [
        assertion("IsA", "/c/en/dog/n/wn/animal", "/c/en/pet"),
        assertion("Synonym", "/c/fr/chien/n", "/c/en/dog/n"),
        assertion("Antonym", "/c/en/dog/n", "/c/en/cat"),
        assertion("NotCapableOf", "/c/en/dog", "/c/en/fly"),
        assertion("AtLocation", "/c/en/hot_dog", "/c/en/kitchen"),
    ]
)


def test_reads_plain_triples(tmp_path: Path) -> None:
    file = tmp_path / "triples.tsv"
    file.write_text("dog\tIsA\tpet\r\n\n ball \tPartOf\tgame\n")
    assert [*read_triples(file)] == [("dog", "IsA", "pet"), ("ball", "PartOf", "game")]


@pytest.mark.parametrize("name", ["conceptnet.csv", "conceptnet.csv.gz"])
def test_reads_conceptnet(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(CONCEPTNET.encode()) if name.endswith("gz") else CONCEPTNET.encode())
    assert [*read_triples(file)] == [("dog", "IsA", "pet"), ("hot dog", "AtLocation", "kitchen")]
    graph = concept_graph(pairs_of(["dog"], ["pet"], ["cat"], ["fly"]), file)
    assert neighbours(graph, "dog") == {"pet"}


@pytest.mark.parametrize(
    "line", ["dog IsA pet", "dog\tIsA", "dog\t\tpet", "a\tb\tc\td", json.dumps({"a": 1})]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "triples.tsv"
    file.write_text(f"dog\tIsA\tpet\n{line}\n")
    with pytest.raises(SourceError, match=r"triples\.tsv, line 2: "):
        concept_graph(pairs_of(["dog"]), file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Cannot read triples from .*missing\.tsv"):
        [*read_triples(tmp_path / "missing.tsv")]
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="Cannot read triples"):
        [*read_triples(tmp_path / "broken.gz")]
    (tmp_path / "latin.tsv").write_bytes("caf\xe9\tIsA\tplace".encode("latin-1"))
    with pytest.raises(SourceError, match="Cannot read triples"):
        [*read_triples(tmp_path / "latin.tsv")]


def test_triples_written_by_the_command_can_be_read(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from ui.cli.data import app

    result = CliRunner().invoke(app, ["triples", "--out", str(tmp_path / "t.tsv")])
    assert result.exit_code == 0
    assert tuple(read_triples(tmp_path / "t.tsv")) == TRIPLES
