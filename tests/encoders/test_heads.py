"""Heads of a checkpoint: what they add to the similarity, and files that do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from itr_core import DualEncoder, Gallery, Searcher, evaluate, load_encoder, load_pairs, train
from itr_core.encoders import checkpoints, tokenizer
from itr_core.encoders.concept_branch import ConceptBranch
from itr_core.encoders.heads import ConceptRole, Heads, Roles, first_part, weighted_pair
from itr_core.errors import ModelError
from itr_core.metrics import retrieval_metrics
from itr_core.supervision.concept_graph import normalised
from itr_core.training.validation import score
from tests.training.runs import settings

NAMES = ["dog", "beach", "car"]
TEXTS = ["two dogs on a beach", "a red car", "nothing of these"]
IMAGES = [Image.linear_gradient("L"), Image.radial_gradient("L")]


def unit_rows(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def concept_branch(dim: int) -> ConceptBranch:
    torch.manual_seed(0)
    branch = ConceptBranch(dim, normalised(np.tri(3, dtype=np.bool_))).eval()
    branch.set_nodes(NAMES, lambda texts: unit_rows(len(texts), dim, 0))
    return branch


def concept_heads(dim: int, weight: float, prefix: str = "") -> Heads:
    state = concept_branch(dim).state_dict()
    tensors = {f"{prefix}concepts.{name}": value for name, value in state.items()}
    return Heads(tensors, Roles(concepts=ConceptRole(names=NAMES, prefix=prefix), extra_weight=weight))


@pytest.fixture(scope="module")
def plain(configs: Path) -> DualEncoder:
    assert configs.is_dir()
    own = tokenizer.train(TEXTS * 10, vocab_size=300, context_length=16)
    return load_encoder("tiny/none", device="cpu", tokenizer=own)


def saved(encoder: DualEncoder, folder: Path, heads: Heads) -> Path:
    checkpoints.save(folder, encoder.model, encoder.tokenizer, encoder.config, heads=heads)
    return folder


@pytest.mark.parametrize("weight", [0.0, 0.3, 4.0])
def test_the_cosine_of_a_weighted_pair_is_the_weighted_mean_of_two_cosines(weight: float) -> None:
    (a, e), (b, f) = ((unit_rows(4, 5, seed), unit_rows(4, 3, seed + 1)) for seed in (1, 3))
    x, y = weighted_pair(a, e, weight), weighted_pair(b, f, weight)
    np.testing.assert_allclose(x @ y.T, (a @ b.T + weight * e @ f.T) / (1 + weight), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(first_part(x, 5), a, atol=1e-6)
    assert first_part(a, 5) is not None
    np.testing.assert_array_equal(first_part(a, 5), a)


@pytest.mark.parametrize("prefix", ["", "coder."])
def test_concepts_take_part_in_every_similarity(plain: DualEncoder, tmp_path: Path, prefix: str) -> None:
    folder = saved(plain, tmp_path / "m", concept_heads(plain.dim, 0.3, prefix))
    encoder, branch = load_encoder(str(folder), device="cpu"), concept_branch(plain.dim)
    v, t = plain.encode_images(IMAGES), plain.encode_texts(TEXTS)
    named = torch.tensor([[1.0, 1, 0], [0, 0, 1], [0, 0, 0]])
    with torch.inference_mode():
        both = branch(branch.related(), torch.from_numpy(v), torch.from_numpy(t[:2]), named[:2])
        u_t = branch(branch.related(), torch.from_numpy(t), torch.from_numpy(t), named).text.numpy()
    expected = (v @ t.T + 0.3 * both.image.numpy() @ u_t.T) / 1.3
    images, texts = encoder.encode_images(IMAGES), encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(images @ texts.T, expected, atol=1e-5)
    assert encoder.dim == images.shape[1] == texts.shape[1] == 2 * plain.dim
    assert encoder.encode_images([]).shape == (0, encoder.dim)
    assert encoder.encode_texts([]).shape == (0, encoder.dim)
    assert encoder.fingerprint != plain.fingerprint
    np.testing.assert_allclose(first_part(images, encoder.token_dim), v, atol=1e-6)


def test_without_heads_a_checkpoint_is_its_two_towers(plain: DualEncoder, tmp_path: Path) -> None:
    folder = saved(plain, tmp_path / "used", concept_heads(plain.dim, 0.3))
    unused = saved(plain, tmp_path / "unused", concept_heads(plain.dim, 0.0))
    for encoder in (load_encoder(str(folder), device="cpu", heads=False), load_encoder(str(unused))):
        assert encoder.fingerprint == plain.fingerprint
        np.testing.assert_array_equal(encoder.encode_texts(TEXTS), plain.encode_texts(TEXTS))
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    assert torch.equal(model.state_dict()["logit_scale"], plain.model.state_dict()["logit_scale"])


def test_heads_without_roles_are_not_read(plain: DualEncoder, tmp_path: Path) -> None:
    folder = saved(plain, tmp_path / "m", Heads({"anything": torch.zeros(2)}))
    assert load_encoder(str(folder), device="cpu").heads.tensors == {}


def test_heads_change_the_fingerprint(plain: DualEncoder, tmp_path: Path) -> None:
    other = concept_heads(plain.dim, 0.3)
    changed = Heads({name: value * 1.01 for name, value in other.tensors.items()}, other.roles)
    folders = [
        saved(plain, tmp_path / name, heads)
        for name, heads in (("a", other), ("b", other.with_extra_weight(0.31)), ("c", changed))
    ]
    assert len({load_encoder(str(folder), device="cpu").fingerprint for folder in folders}) == 3


@pytest.mark.parametrize(
    ("roles", "drop", "message"),
    [
        ({"concepts": {"names": ["dog", "beach"]}}, "", "do not fit its roles"),
        ({"concepts": {"names": ["dog", "dogs", "car"]}}, "", "do not fit its roles"),
        ({"concepts": {"names": NAMES}}, "concepts.nodes", "do not fit its roles"),
        ({"concepts": {"names": NAMES, "prefix": "coder."}}, "", "do not fit its roles"),
        ({"concepts": {"names": []}}, "", "concepts.names = .* refused"),
        ({"extra_weight": -1.0}, "", "extra_weight = -1.0 is refused"),
        ({"dances": {}}, "", "dances is no setting that Pairscope accepts"),
    ],
)
def test_damaged_heads_are_refused(
    plain: DualEncoder, tmp_path: Path, roles: dict[str, Any], drop: str, message: str
) -> None:
    folder = saved(plain, tmp_path / "m", concept_heads(plain.dim, 0.3))
    (folder / "checksums.json").unlink()
    tensors = load_file(folder / "heads.safetensors")
    tensors.pop(drop, None)
    save_file(tensors, folder / "heads.safetensors", metadata={"roles": json.dumps(roles)})
    with pytest.raises(ModelError, match=message):
        load_encoder(str(folder), device="cpu")


def test_heads_of_another_model_are_refused(plain: DualEncoder, tmp_path: Path) -> None:
    folder = saved(plain, tmp_path / "m", concept_heads(plain.dim + 1, 0.3))
    with pytest.raises(ModelError, match=f"{plain.dim + 1} dimensions, the towers have {plain.dim}"):
        load_encoder(str(folder), device="cpu")


def test_validation_chooses_the_weight(plain: DualEncoder) -> None:
    captions = [["a dog"], ["the beach"], ["a car"], ["many cars"], ["two dogs"]]
    images = unit_rows(len(captions), plain.dim, 5)
    heads = concept_heads(plain.dim, 0.0)
    found = score(plain, images, captions, heads)
    v, t = images, plain.encode_texts([text for texts in captions for text in texts])
    assert heads.extra is not None
    u_v, u_t = heads.extra.images(v), heads.extra.texts(t, [text for texts in captions for text in texts])
    by_hand = {
        weight: retrieval_metrics(v @ t.T + weight * u_v @ u_t.T, np.arange(5))["rsum"]
        for weight in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
    }
    assert found["rsum"] == max(by_hand.values()) == by_hand[found["extra_weight"]]
    assert found["rsum_without_extra"] == by_hand[0.0]
    assert found["extra_weight"] == max(by_hand, key=lambda weight: by_hand[weight])
    fixed = score(plain, images, captions, heads.with_extra_weight(0.2))
    assert (fixed["rsum"], fixed["extra_weight"]) == (by_hand[0.2], 0.2)
    assert "extra_weight" not in score(plain, images, captions, Heads())


@pytest.mark.usefixtures("configs")
@pytest.mark.parametrize("method", ["coder", "coder+siglip"])
def test_a_trained_concept_branch_is_used(world: Path, tmp_path: Path, method: str) -> None:
    source = f"folder:{world}"
    options = settings(
        options={"queue": 32, "clusters": 20, "lambda_s": 0.5}, validation=source, eval_every=6
    )
    out = train(method, source, out=tmp_path / "out", **options)
    best = json.loads((out / "training.json").read_text())["best"]
    encoder = load_encoder(str(out), device="cpu")
    assert (best["extra_weight"], encoder.heads.roles.extra_weight) == (0.5, 0.5)
    pairs = load_pairs(source)
    rsum = evaluate(encoder, pairs)["rsum"]
    assert rsum == pytest.approx(best["rsum"], abs=0.5)
    features = encoder.image_features(pairs.image(row) for row in range(len(pairs)))
    assert evaluate(encoder, pairs, features)["rsum"] == pytest.approx(rsum, abs=0.5)
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery", tokens=True)
    hits = Searcher(gallery, encoder).search_text("a blue sky", k=3)
    scores = gallery.image_embeddings @ encoder.encode_texts(["a blue sky"])[0]
    assert [hit.score for hit in hits] == pytest.approx(sorted(scores)[:-4:-1], abs=1e-6)
    assert len(Searcher(gallery, encoder).search_text("a blue sky", k=3, rerank=True)) == 3
    again = train("infonce", source, **settings(model=str(out), out=tmp_path / "again"))
    assert not (again / "heads.safetensors").exists()
