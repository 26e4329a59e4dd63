"""What CUSA and AsCL store for retrieval: spaces within a modality, and the local similarity."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import layer_norm, normalize

from itr_core import DualEncoder, Gallery, Searcher, evaluate, load_encoder, load_pairs, train
from itr_core.encoders.heads import DEFAULT_U1, Heads, LocalRole
from itr_core.encoders.reranking import hierarchical_similarity
from itr_core.errors import ModelError
from itr_core.metrics import retrieval_metrics
from tests.support import present
from tests.training.runs import log, settings

pytestmark = pytest.mark.usefixtures("configs")


# -- CUSA ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["cusa", "ascl+cusa"])
def cusa(request: pytest.FixtureRequest, configs: Path, world: Path, tmp_path_factory: Any) -> Path:
    assert configs.is_dir()
    out = tmp_path_factory.mktemp("cusa") / "out"
    return train(request.param, f"folder:{world}", out=out, **settings(options={"beta": 5.0}))


@pytest.fixture(scope="module")
def encoder(cusa: Path) -> DualEncoder:
    return load_encoder(str(cusa), device="cpu")


def in_space(cusa: Path, head: str, towers: np.ndarray) -> np.ndarray:
    """LayerNorm and Linear of the stored tensors."""
    tensors = load_file(cusa / "heads.safetensors")
    prefix = "cusa." if "cusa.image_head.0.weight" in tensors else ""
    gain, shift, weight, bias = (
        tensors[f"{prefix}{head}_head.{part}"] for part in ("0.weight", "0.bias", "1.weight", "1.bias")
    )
    rows = layer_norm(torch.from_numpy(1e3 * towers), gain.shape, gain, shift)  # its length has no effect
    return normalize(rows @ weight.T + bias, dim=1).numpy()


def test_the_stored_heads_are_the_spaces_within_a_modality(cusa: Path, encoder: DualEncoder) -> None:
    spaces = present(encoder.heads.uni_modal)
    towers = encoder.encode_texts(["a red dog", "the sea", "a car at night"])
    for head, found in (("image", spaces.images(towers)), ("text", spaces.texts(towers))):
        np.testing.assert_allclose(found, in_space(cusa, head, towers), atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert spaces.images(towers[:0]).shape == (0, encoder.dim)
    alone = load_encoder(str(cusa), device="cpu", heads=False)
    assert alone.heads.uni_modal is None
    assert alone.fingerprint == encoder.fingerprint  # a gallery of either can be searched by both


def test_the_protocol_uni_modal_and_sts_use_them(
    world: Path, cusa: Path, encoder: DualEncoder, tmp_path: Path
) -> None:
    pairs = load_pairs(f"folder:{world}", limit=24)
    sts = tmp_path / "sts.tsv"
    sts.write_text("a red dog\ta blue dog\t3\nthe sea\ta beach\t4\na car\tgrass\t0\nthe sun\tthe sky\t2\n")
    found = evaluate(encoder, pairs, protocols=["standard", "uni-modal"], sts=sts)
    plain = load_encoder(str(cusa), device="cpu", heads=False)
    without = evaluate(plain, pairs, protocols=["standard", "uni-modal"], sts=sts)
    captions, image_of_caption = pairs.flat_captions()
    texts = in_space(cusa, "text", encoder.encode_texts(captions))
    similarity = texts @ texts.T - 9 * np.eye(len(texts))
    hits = image_of_caption[similarity.argmax(axis=1)] == image_of_caption
    assert found["uni_modal_t2t_r1"] == pytest.approx(100 * hits.mean(), abs=0.01)
    assert found["sts_spearman"] != without["sts_spearman"]
    assert found["rsum"] == without["rsum"]


def test_search_within_a_modality_uses_them(
    world: Path, cusa: Path, encoder: DualEncoder, tmp_path: Path
) -> None:
    pairs = load_pairs(f"folder:{world}", limit=24)
    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery")
    searcher = Searcher(gallery, encoder)
    plain = Searcher(gallery, load_encoder(str(cusa), device="cpu", heads=False))

    images = in_space(cusa, "image", gallery.image_embeddings)
    expected = np.sort(np.delete(images @ images[3], 3))[::-1][:4]
    item = gallery.items["image_id"][3]
    found = searcher.search_item(item, 4, "images")
    np.testing.assert_allclose([hit.score for hit in found], expected, atol=1e-3)
    assert found != plain.search_item(item, 4, "images")
    by_image = searcher.search_image(pairs.image(3), 5, "images")
    assert by_image[0].item_id == item
    assert by_image[0].score == pytest.approx(1, abs=1e-3)
    embedded = searcher.search_embedding(gallery.image_embeddings[3], 4, "images", by="images", exclude=item)
    assert embedded == found

    texts = in_space(cusa, "text", gallery.text_embeddings)
    query = in_space(cusa, "text", encoder.encode_texts(["a red dog"]))[0]
    best = searcher.search_text("a red dog", 1, "captions")[0]
    assert best.score == pytest.approx((texts @ query).max(), abs=1e-3)
    # Between modalities, and where both are combined, the joint space decides.
    assert searcher.search_text("a red dog", 5) == plain.search_text("a red dog", 5)
    assert searcher.search_item(item, 5, "captions") == plain.search_item(item, 5, "captions")
    changed = searcher.search_item(item, 5, "images", but="a red dog")
    assert changed == plain.search_item(item, 5, "images", but="a red dog")


def test_without_usa_the_heads_take_no_part(world: Path, tmp_path: Path) -> None:
    out = train(
        "cusa", f"folder:{world}", out=tmp_path / "out", **settings(options={"beta": 0.0}, max_steps=1)
    )
    assert load_encoder(str(out), device="cpu").heads.uni_modal is None


@pytest.mark.parametrize(
    ("roles", "drop", "message"),
    [
        ({"uni_modal": {"prefix": "cusa."}}, "", "do not fit its roles"),
        ({"uni_modal": {}}, "text_head.1.bias", "do not fit its roles"),
        ({"local": {"u1": 1.5}}, "", "local.u1 = 1.5 is refused"),
        ({"local": {"u1": 0.5, "attention_heads": 5}}, "", "5 heads, 32 dimensions"),
    ],
)
def test_damaged_roles_are_refused(
    world: Path, tmp_path: Path, roles: dict[str, Any], drop: str, message: str
) -> None:
    out = train("cusa", f"folder:{world}", out=tmp_path / "out", **settings(max_steps=1))
    (out / "checksums.json").unlink()
    tensors = load_file(out / "heads.safetensors")
    tensors.pop(drop, None)
    save_file(tensors, out / "heads.safetensors", metadata={"roles": json.dumps(roles)})
    with pytest.raises(ModelError, match=message):
        load_encoder(str(out), device="cpu")


# -- AsCL ------------------------------------------------------------------------------------------------


def test_the_local_similarity_is_stored_selects_and_is_used(world: Path, tmp_path: Path) -> None:
    source = f"folder:{world}"
    options = settings(options={"u1": 0.7, "heads": 2}, validation=source, eval_every=3)
    out = train("ascl", source, out=tmp_path / "out", **options)
    validated = [entry for entry in log(out) if "rsum_by_cosine" in entry]
    best = json.loads((out / "training.json").read_text())["best"]
    assert best["rsum"] == max(entry["rsum"] for entry in validated)
    encoder = load_encoder(str(out), device="cpu")
    assert encoder.heads.roles.local == LocalRole(u1=0.7, attention_heads=2)

    pairs = load_pairs(source)
    found = evaluate(encoder, pairs, protocols=["standard", "hierarchical"], rerank=True)
    images = encoder.encode_images((pairs.image(row) for row in range(len(pairs))), tokens=True)
    captions, image_of_caption = pairs.flat_captions()
    similarity = hierarchical_similarity(
        images, encoder.encode_texts(captions, tokens=True), LocalRole(u1=0.7, attention_heads=2)
    )
    expected = retrieval_metrics(similarity, image_of_caption)
    assert found["hierarchical_rsum"] == pytest.approx(expected["rsum"], abs=0.01)
    assert found["reranked_rsum"] == pytest.approx(best["rsum"], abs=1)  # pixels were resized once
    assert found["rsum"] == pytest.approx(best["rsum_by_cosine"], abs=1)

    gallery = Gallery.build(pairs, encoder, tmp_path / "gallery", tokens=True)
    default, given = Searcher(gallery, encoder), Searcher(gallery, encoder, u1=0.2)
    hits = default.search_text(captions[0], 3, rerank=True)
    column = similarity[:, 0]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(column)[::-1][:3], atol=2e-3)
    assert given.search_text(captions[0], 3, rerank=True) != hits


def test_models_without_a_local_similarity_have_the_default_weight() -> None:
    assert Heads().local() == LocalRole(u1=DEFAULT_U1, attention_heads=1)
    assert Heads().local(0.25).u1 == 0.25
    with pytest.raises(ModelError, match=r"u1=-1: the weight"):
        Heads().local(-1)
