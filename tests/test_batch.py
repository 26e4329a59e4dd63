"""Batches: parts, joined outputs and repeated images follow the metadata of the fields."""

from dataclasses import fields

import pytest
import torch

from itr_core.batch import (
    PER_CAPTION,
    PER_IMAGE,
    EncoderOutput,
    PairBatch,
    TextOutput,
    join,
    map_rows,
    map_tensors,
    repeat_images,
    split,
)


def output(n: int, length: int) -> EncoderOutput:
    """Embeddings of n images and captions of `length` sub-words, all n."""
    tokens, mask = torch.full((n, length, 2), float(n)), torch.ones(n, length, dtype=torch.bool)
    embeddings = torch.full((n, 2), float(n))
    return EncoderOutput(
        embeddings,
        embeddings,
        torch.tensor(float(n)),
        text_tokens=tokens,
        text_mask=mask,
        positive=TextOutput(embeddings, tokens, mask),
        momentum=EncoderOutput(embeddings, embeddings, torch.tensor(float(n))),
    )


def test_every_field_of_a_batch_has_one_row_per_image_or_per_caption() -> None:
    per_image = {each.name for each in fields(PairBatch) if each.metadata == PER_IMAGE}
    per_caption = {each.name for each in fields(PairBatch) if each.metadata == PER_CAPTION}
    assert per_image == {"image", "image_features"}
    assert per_image | per_caption == {each.name for each in fields(PairBatch)}


@pytest.mark.parametrize("name", ["image", "image_features"])
def test_parts_keep_images_with_their_captions(name: str) -> None:
    rows = torch.arange(6)
    batch = PairBatch(
        text=rows[:, None],
        image_id=rows // 2,
        captions=[*"abcdef"],
        caption_id=rows,
        teacher_image=rows[:, None].float(),
        **{name: torch.arange(3.0)[:, None]},
    )
    parts = split(batch, 2)
    assert [part.captions for part in parts] == [["a", "b"], ["c", "d", "e", "f"]]
    assert [getattr(part, name).tolist() for part in parts] == [[[0.0]], [[1.0], [2.0]]]
    assert parts[1].image_id.tolist() == [1, 1, 2, 2]
    assert parts[1].teacher_image is not None
    assert parts[1].teacher_image.tolist() == [[2], [3], [4], [5]]
    assert parts[1].labels is None


def test_joined_outputs_have_all_rows_and_pad_shorter_texts() -> None:
    whole = join([output(1, 2), output(2, 3)])
    assert whole.image.tolist() == [[1, 1], [2, 2], [2, 2]]
    assert whole.logit_scale == 1
    assert whole.text_tokens is not None
    assert whole.text_tokens[:, 2].tolist() == [[0, 0], [2, 2], [2, 2]]
    assert whole.text_mask is not None
    assert whole.text_mask.tolist() == [[True, True, False], [True] * 3, [True] * 3]
    assert whole.positive is not None
    assert whole.positive.text.tolist() == whole.text.tolist()
    assert whole.momentum is not None
    assert whole.momentum.image.tolist() == whole.image.tolist()
    assert whole.negative is None


def test_images_are_repeated_for_their_captions_and_texts_are_not() -> None:
    images = torch.arange(2.0)[:, None]
    texts = torch.arange(6.0)[:, None]
    keys = EncoderOutput(10 + images, texts, torch.tensor(1.0))
    patches = images[:, None].expand(2, 5, 1)
    out = EncoderOutput(
        images, texts, torch.tensor(1.0), image_tokens=patches, positive=TextOutput(texts), momentum=keys
    )
    repeated = repeat_images(out, 3)
    assert repeated.image.flatten().tolist() == [0, 0, 0, 1, 1, 1]
    assert repeated.image_tokens is not None
    assert repeated.image_tokens[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert repeated.text.tolist() == texts.tolist()
    assert repeated.logit_scale.ndim == 0
    assert repeated.positive is not None
    assert repeated.positive.text.tolist() == texts.tolist()
    assert repeated.momentum is not None
    assert repeated.momentum.image.flatten().tolist() == [10, 10, 10, 11, 11, 11]
    assert out.image.tolist() == images.tolist()


def test_changes_of_rows_spare_the_temperature_and_changes_of_tensors_do_not() -> None:
    rows = map_rows(output(2, 3), lambda x: x[:1])
    assert rows.momentum is not None
    assert rows.positive is not None
    assert rows.positive.mask is not None
    assert (len(rows.image), len(rows.momentum.text), len(rows.positive.mask)) == (1, 1, 1)
    assert rows.logit_scale == rows.momentum.logit_scale == 2
    doubled = map_tensors(output(2, 3), lambda x: x * 2)
    assert doubled.momentum is not None
    assert doubled.logit_scale == doubled.momentum.logit_scale == 4
