"""AsCL: contrast each image with generated captions of more, less, and untrue content."""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from typing import Any, ClassVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from itr_core.batch import EncoderOutput, PairBatch, TextOutput, join
from itr_core.encoders.heads import LocalRole, Roles
from itr_core.encoders.token_similarity import local_similarity
from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import Method, Setup, require_at_least
from itr_core.methods.components import caption_augmentation
from itr_core.methods.components.caption_augmentation import noise_tokens

OPERATIONS = {
    "token": caption_augmentation.TEXT_NOISE,
    "feature": caption_augmentation.FEATURE_NOISE,
    "none": (),
}
ROUNDING = 1e-5
"""Margin below which two scores count as equal."""


class AsCL(Method):
    r"""`asymmetric_contrast` of images with their captions, and with generated captions that are also true.

        S(I, T) = u1 S_local(I, T) + (1 - u1) S_global(I, T)         (hierarchical fusion)
        L       = w_i L_I(I, T) + w_pos L_II&III(I, T+)              (both 1/2 in the paper)

    S_global is the cosine of the two embeddings, S_local is `local_similarity`. T+ is generated for each
    caption at each step by one of `positives`: two captions of the image concatenated (more content), the
    first half of the caption (less content), or a paraphrase. L_I and L_II&III are the same function; both
    also have T- as a negative, a caption made untrue by one of `operations`.

    Args:
        u1: weight of the local similarity, in [0, 1]. 0 trains a plain dual encoder and needs no tokens; the
            authors' code uses 0.8. Above 0, training needs pixels or features of regions, because other
            features have no patches, and validation selects by the rSum after re-ranking with S. The
            checkpoint stores u1 and `heads`.
        tau: temperature of both losses, > 0 (0.1 in the authors' code); 0 for the learned temperature of the
            encoder.
        positives: comma-separated names of `caption_augmentation.POSITIVES`; "none" removes L_II&III.
        negatives: "token" changes the words before the encoder, "feature" adds noise to the word tokens
            after it (as the authors' code does), "none" removes T-.
        operations: comma-separated names of `caption_augmentation.TEXT_NOISE` or
            `caption_augmentation.FEATURE_NOISE`; "all" for all, except `drop` together with the positive
            `truncate`, because both make almost the same captions.
        filter_mode: treatment of a T- that scores above the true caption: "zero" (its score becomes 0 and
            stays in the sum) or "drop" (it is removed from the sum).
        w_i, w_pos: weights of the two losses, >= 0.
        heads: number of attention heads in S_local; must divide d.

    The preset "acf" has the values of the authors' code of ACF-R+. With cached features, add u1=0.

    References:
        Gong, Mai & Huang, AsCL: An Asymmetry-sensitive Contrastive Learning Method for Image-Text Retrieval
        with Cross-Modal Fusion, ICME 2024, arXiv:2405.10029; and the authors' code of its extension ACF-R+.

    Relations:
        Without T+ and T-, at u1 = 0 and tau = 0, L_I is twice `symmetric_info_nce`, and L is InfoNCE.

    Deviations from the paper:
        Each tower pools its own embedding. The gated fusion of the paper conditions the embedding of an
        image on a caption, which an index of single vectors cannot represent. By default tau is the learned
        temperature of the encoder, so that methods are compared at the same temperature, and u1 is 0. By
        default T- changes words, so that gradients of T- reach the whole encoder. The T- of a caption is
        also the negative next to its T+; the authors' code adds new noise to T+, which would need another
        pass. With "feature" noise, the embedding of T- is the embedding of T plus the change of the mean
        word token (reconstructed: in the authors' code the embedding is a projected mean of attended
        words). We do not know which of II and III means less content, so operations have names of their
        own. Two captions of one image are never negatives of each other (see `asymmetric_contrast`).
    """

    replaces_infonce = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "acf": {"u1": 0.8, "tau": 0.1, "negatives": "feature", "w_i": 0.4, "w_pos": 0.6}
    }

    def __init__(
        self,
        *,
        u1: float = 0.0,
        tau: float = 0.0,
        positives: str = "concat,truncate",
        negatives: str = "token",
        operations: str = "all",
        filter_mode: str = "zero",
        w_i: float = 0.5,
        w_pos: float = 0.5,
        heads: int = 1,
    ) -> None:
        super().__init__()
        if not 0 <= u1 <= 1:
            raise ModelError(f"u1={u1}: the weight of the local similarity must be from 0 to 1.")
        if not tau >= 0:
            raise ModelError(f"tau={tau}: must be above 0, or 0 for the learned temperature of the encoder.")
        require_at_least(0, w_i=w_i, w_pos=w_pos)
        require_at_least(1, heads=heads)
        self.u1, self.tau, self.attention_heads = u1, tau, heads
        self.negatives = _known("negatives", negatives, OPERATIONS)
        self.filter_mode = _known("filter_mode", filter_mode, ("zero", "drop"))
        self.positives = (
            _names("positives", positives, caption_augmentation.POSITIVES) if positives != "none" else []
        )
        self.operations = _operations(operations, negatives, self.positives)
        self.weights = {"ascl_i": w_i}
        needs = set()
        if self.positives:
            self.weights["ascl_ii_iii"] = w_pos
            needs.add("positive_text")
        if negatives != "none":
            self.weights["ascl_overhard"] = 0.0
        if negatives == "token":
            needs.add("negative_text")
        if u1 or negatives == "feature":
            needs.add("tokens")
        self.needs = frozenset(needs)

    def build(self, setup: Setup) -> None:
        """Collect synonyms and the words that captions contain; check `heads`."""
        if self.u1 and setup.dim % self.attention_heads:
            raise ModelError(f"heads={self.attention_heads}: must divide the model's {setup.dim} dimensions.")
        self.synonyms = caption_augmentation.synonyms_of(setup.triples)
        if "swap" in self.operations:
            self.swaps = caption_augmentation.WordSwapper(setup.captions, self.synonyms)

    def positive_text(self, captions: Sequence[str], anchor: int, random: np.random.Generator) -> str:
        """Generate a caption with more content than `captions[anchor]`, less content, or a paraphrase."""
        match self.positives[random.integers(len(self.positives))]:
            case "concat":
                return caption_augmentation.concat(captions, random)
            case "truncate":
                return caption_augmentation.truncate(captions[anchor])
            case _:
                return caption_augmentation.paraphrase(captions[anchor], self.synonyms, random)

    def negative_text(self, caption: str, other: str, random: np.random.Generator) -> str:
        """Make the caption untrue; if the drawn operation does not change it, use `insert`."""
        match self.operations[random.integers(len(self.operations))]:
            case "swap":
                noised = self.swaps(caption, random)
            case "shuffle":
                noised = caption_augmentation.shuffle(caption, random)
            case "drop":
                noised = caption_augmentation.drop(caption, random)
            case _:
                noised = caption
        return noised if noised != caption else caption_augmentation.insert(caption, other, random)

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"ascl_i": L_I} and, with positives, {"ascl_ii_iii": L_II&III}.

        With T-, also "ascl_overhard", the fraction of T- that the filter f changes in L_I: a diagnostic of
        weight 0.
        """
        scale = 1 / self.tau if self.tau else out.logit_scale
        texts = [TextOutput(out.text, out.text_tokens, out.text_mask)]
        if self.positives:
            texts.append(cast(TextOutput, out.positive))
        noise: list[TextOutput] = []
        if self.negatives == "token":
            noise = [cast(TextOutput, out.negative)]
        elif self.negatives == "feature":
            noise = [self._noise(text) for text in texts]
        all_similarities = self._similarity(out, [*texts, *noise]).split(len(out.text), dim=1)
        similarities, noised = all_similarities[: len(texts)], all_similarities[len(texts) :] or [None]
        terms = {
            name: asymmetric_contrast(similarity, untrue, scale, batch.image_id, self.filter_mode)
            for name, similarity, untrue in zip(
                ("ascl_i", "ascl_ii_iii"), similarities, cycle(noised), strict=False
            )
        }
        if noised[0] is not None:
            terms["ascl_overhard"] = is_false_negative(similarities[0], noised[0]).float().mean()
        return terms

    def roles(self) -> Roles:
        """Return the local similarity, if it was trained."""
        return Roles(local=LocalRole(u1=self.u1, attention_heads=self.attention_heads) if self.u1 else None)

    def _similarity(self, out: EncoderOutput, texts: Sequence[TextOutput]) -> Tensor:
        """Compute S of the B images and the N captions of all `texts`, (B, N)."""
        text = F.normalize(torch.cat([each.text for each in texts]), dim=-1)
        global_similarity = F.normalize(out.image, dim=-1) @ text.T
        if not self.u1:
            return global_similarity
        if out.image_tokens is None:
            raise ModelError(
                f"u1={self.u1}: the local similarity of AsCL compares words with image patches, which cached "
                "image features do not have. Train from pixels (without --image-features), or set u1=0."
            )
        joined = join(texts)
        tokens, mask = cast(Tensor, joined.tokens), cast(Tensor, joined.mask)
        local = local_similarity(out.image_tokens, tokens, mask, heads=self.attention_heads)
        return self.u1 * local + (1 - self.u1) * global_similarity

    def _noise(self, text: TextOutput) -> TextOutput:
        """Add one draw of noise to the word tokens of the captions."""
        tokens, mask = cast(Tensor, text.tokens), cast(Tensor, text.mask)
        noised = noise_tokens(tokens, self.operations[int(torch.randint(len(self.operations), ()))])
        change = ((noised - tokens) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return TextOutput(text.text + change, noised, mask)


def asymmetric_contrast(
    similarity: Tensor,
    noised: Tensor | None,
    scale: Tensor | float,
    image_id: Tensor,
    filter_mode: str = "zero",
) -> Tensor:
    r"""InfoNCE in both directions; images have the noised captions as additional negatives.

    With S_ij = S(I_i, T_j), N_ij = S(I_i, T-_j), scale 1/tau, and the candidates of row i, R_i = {i} and
    {j : image_id_j != image_id_i}:

        L_i2t = -1/B sum_i log( e^(S_ii / tau) / sum_{j in R_i} (e^(S_ij / tau) + e^(f(N_ij) / tau)) )
        L_t2i = -1/B sum_i log( e^(S_ii / tau) / sum_{j in R_i} e^(S_ji / tau) )
        L     = L_i2t + L_t2i

    f filters false negatives: a noised caption with N_ij above S_ii may be true of the image. Its score
    becomes 0, or (filter_mode "drop") it is removed from the sum.

    Args:
        similarity: (B, B), images by captions; row i and column i are a pair.
        noised: (B, B), images by noised captions, or None.
        scale: (), inverse temperature, > 0.
        image_id: (B,) integers; rows with equal ids show the same image.
        filter_mode: "zero" or "drop".

    Returns:
        Shape (), in nats, >= 0.

    References:
        arXiv:2405.10029, L_I and L_II&III; f as in the authors' code of ACF-R+.

    Relations:
        Without `noised`, on cosines, it is twice `symmetric_info_nce`.

    Deviations from the paper:
        Other captions of the same image are removed from the sum, and so are their noised versions: noise may
        change little, and each row has a noised version of its own.

    >>> similarity, noised = torch.tensor([[[0.8, 0.2], [0.1, 0.6]], [[0.7, 0.3], [0.65, 0.5]]])
    >>> round(asymmetric_contrast(similarity, noised, 10, torch.arange(2)).item(), 4)
    0.3295
    """
    target = torch.arange(len(similarity), device=similarity.device)
    siblings = (image_id[:, None] == image_id[None, :]).fill_diagonal_(False)
    logits = (scale * similarity).masked_fill(siblings, -torch.inf)
    candidates = logits
    if noised is not None:
        filtered = (scale * noised).masked_fill(
            is_false_negative(similarity, noised), 0.0 if filter_mode == "zero" else -torch.inf
        )
        candidates = torch.cat([logits, filtered.masked_fill(siblings, -torch.inf)], dim=1)
    return F.cross_entropy(candidates, target) + F.cross_entropy(logits.T, target)


def is_false_negative(similarity: Tensor, noised: Tensor) -> Tensor:
    """Return bool (B, B): whether a noised caption scores above the true caption of the image of its row.

    If noise changed nothing, both scores are equal up to rounding, hence the margin `ROUNDING`.
    """
    return noised > similarity.diagonal()[:, None] + ROUNDING


def _operations(operations: str, negatives: str, positives: Sequence[str]) -> list[str]:
    known = OPERATIONS[negatives]
    if not known and operations != "all":
        raise ModelError(
            f"operations={operations!r}: with negatives='none' there are none. Leave operations out, or set "
            "negatives=token or negatives=feature."
        )
    contradiction = negatives == "token" and "truncate" in positives
    if operations == "all":
        return [name for name in known if not (contradiction and name == "drop")]
    names = _names("operations", operations, known)
    if contradiction and "drop" in names:
        raise ModelError(
            "The negative 'drop' and the positive 'truncate' make almost the same captions. Use only one of "
            "them, for example positives=concat,paraphrase."
        )
    return names


def _names(option: str, value: str, known: Collection[str]) -> list[str]:
    return [_known(option, name, known) for name in value.split(",")]


def _known(option: str, name: str, known: Collection[str]) -> str:
    if name not in known:
        raise ModelError(f"{option}: unknown value {name!r}.{did_you_mean(name, known)}")
    return name
