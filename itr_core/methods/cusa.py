"""CUSA: soft labels from two frozen uni-modal teachers, across and within modalities."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders.heads import Roles, UniModalRole
from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import INFONCE, Method, Setup, require_at_least, require_positive
from itr_core.methods.components.info_nce import symmetric_info_nce

SOFT_LABELS = ("each", "add", "dot")
CON_REDUCTIONS = ("ce", "mean_all")


class CUSA(Method):
    r"""InfoNCE plus alignment of similarities with those of uni-modal teachers.

    With unit embeddings v_i, t_i, unit outputs a^v_i, a^t_i of a LayerNorm and a Linear on top of them, and
    cosines of the teachers G^v_ij between images and G^t_ij between captions:

        L     = L_con + alpha L_CSA + beta L_USA
        L_CSA = 1/2 [ KL(G^v/tau_s || v t^T / tau_c)     + KL(G^t/tau_s || t v^T / tau_c)     ]
        L_USA = 1/2 [ KL(G^v/tau_s || a^v a^v^T / tau_v) + KL(G^t/tau_s || a^t a^t^T / tau_t) ]

    where KL(G || S) is `soft_label_kl`, with a softmax over the batch in each row. Image -> text similarities
    learn from the image teacher, text -> image similarities from the text teacher. The heads are trained and
    stored (`heads`). Retrieval across modalities uses v and t; a^v and a^t are for image-image and text-text
    search.

    Args:
        alpha: weight of CSA, >= 0.
        beta: weight of USA, >= 0.
        tau_init: initial value of the learned temperatures tau_c, tau_v and tau_t, dimensionless, in
            [0.10, 0.99]. tau_c is kept in this range, tau_v and tau_t in [0.10, 1.00].
        tau_s: temperature of the soft labels, fixed, > 0.
        soft_labels: target of CSA. 'each': as above; 'add': the mean (G^v + G^t) / 2 in both directions;
            'dot': the geometric mean sqrt(max(G^v, 0) max(G^t, 0)) in both directions.
        con_reduction: 'ce': L_con is InfoNCE. 'mean_all': L_con is InfoNCE divided by the batch size B, as
            in the released code, which takes the mean over rows and columns. alpha and beta then act like B
            alpha and B beta with 'ce'; 0.10 and 0.50 at B = 128 of the paper act like 12.8 and 64. The
            whole loss is multiplied by B, so that learning rate, clipping and the epsilon of AdamW have the
            same effect as for all other methods: 'mean_all' with (alpha, beta) equals 'ce' with (B alpha, B
            beta).

    References:
        Huang et al., Cross-modal and Uni-modal Soft-label Alignment for Image-Text Retrieval, AAAI 2024,
        arXiv:2403.05261, and the authors' code, github.com/lerogo/aaai24_itr_cusa.

    Relations:
        alpha = beta = 0 is InfoNCE. beta = 0 is "+CSA" of the paper, alpha = 0 is "+USA". For tau_s -> 0 (and
        distinct teacher vectors) the soft labels become hard, and CSA becomes InfoNCE at tau_c.
        Combined with a method that has its own contrastive loss (AsCL, CODER), CSA and USA are added to it.

    Deviations from the paper:
        InfoNCE removes other captions of the same image from the sum; the paper uses a cross-entropy with
        several positives. In CSA such captions have similarity 1 in both directions, because they share one
        image. In USA the similarities of the teachers are used, because two captions of one image are two
        texts. Neither matters if no image occurs twice in a batch. In the paper, v and t come from an
        additional LayerNorm and Linear on top of CLIP; here they are the embeddings of the encoder, so that
        the stored open_clip model is the trained model. InfoNCE uses the temperature of the encoder.
        Weights are selected on validation data; the released code selects them on the test split.
    """

    needs = frozenset({"teachers"})

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        beta: float = 0.5,
        tau_init: float = 0.45,
        tau_s: float = 1.0,
        soft_labels: str = "each",
        con_reduction: str = "ce",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("soft_labels", soft_labels, SOFT_LABELS),
            ("con_reduction", con_reduction, CON_REDUCTIONS),
        ):
            if value not in known:
                raise ModelError(f"{name}={value!r}: unknown value.{did_you_mean(value, known)}")
        require_at_least(0, alpha=alpha, beta=beta)
        require_positive(tau_s=tau_s)
        self.weights = {INFONCE: 1.0, "cusa_csa": alpha, "cusa_usa": beta}
        self.tau_s, self.soft_labels, self.con_reduction = tau_s, soft_labels, con_reduction
        self.cross_temperature = Temperature(tau_init, 0.10, 0.99)
        self.image_temperature = Temperature(tau_init, 0.10, 1.00)
        self.text_temperature = Temperature(tau_init, 0.10, 1.00)

    def build(self, setup: Setup) -> None:
        """Create the uni-modal heads, (d,) -> (d,)."""
        random = torch.Generator().manual_seed(setup.seed)
        self.image_head, self.text_head = (_head(setup.dim, random) for _ in range(2))

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"infonce", "cusa_csa", "cusa_usa"}."""
        if batch.teacher_image is None or batch.teacher_text is None:
            raise ModelError(
                "cusa needs embeddings of an image teacher and a text teacher, but the batch has none "
                "(see itr_core.features.teachers.open_teachers)."
            )
        image_similarity, text_similarity = cosines(batch.teacher_image), cosines(batch.teacher_text)
        times = len(batch.image_id) if self.con_reduction == "mean_all" else 1
        return {
            INFONCE: symmetric_info_nce(out.image, out.text, out.logit_scale, batch.image_id),
            "cusa_csa": times * self._csa(out, image_similarity, text_similarity, batch.image_id),
            "cusa_usa": times * self._usa(out, image_similarity, text_similarity),
        }

    def roles(self) -> Roles:
        """Return the uni-modal heads, for search within a modality; without USA they are not trained."""
        return Roles(uni_modal=UniModalRole() if self.weights["cusa_usa"] else None)

    def _csa(
        self, out: EncoderOutput, image_similarity: Tensor, text_similarity: Tensor, image_id: Tensor
    ) -> Tensor:
        same_image = image_id[:, None] == image_id[None, :]
        image_labels, text_labels = (
            each.masked_fill(same_image, 1) for each in (image_similarity, text_similarity)
        )
        if self.soft_labels == "add":
            image_labels = text_labels = (image_labels + text_labels) / 2
        elif self.soft_labels == "dot":
            image_labels = text_labels = (image_labels.clamp_min(0) * text_labels.clamp_min(0)).sqrt()
        logits = cosines(out.image, out.text) / self.cross_temperature()
        i2t = soft_label_kl(image_labels / self.tau_s, logits)
        t2i = soft_label_kl(text_labels / self.tau_s, logits.T)
        return (i2t + t2i) / 2

    def _usa(self, out: EncoderOutput, image_similarity: Tensor, text_similarity: Tensor) -> Tensor:
        image_logits = cosines(self.image_head(out.image)) / self.image_temperature()
        text_logits = cosines(self.text_head(out.text)) / self.text_temperature()
        i2i = soft_label_kl(image_similarity / self.tau_s, image_logits)
        t2t = soft_label_kl(text_similarity / self.tau_s, text_logits)
        return (i2i + t2t) / 2


class Temperature(nn.Module):
    """A learned temperature in [low, high].

    It is clamped in place before use, instead of in the graph, so that the gradient is not zero at a bound.
    """

    def __init__(self, start: float, low: float, high: float) -> None:
        super().__init__()
        if not low <= start <= high:
            raise ModelError(f"tau_init={start}: must be in [{low}, {high}].")
        self.low, self.high = low, high
        self.value = nn.Parameter(torch.tensor(start))

    def forward(self) -> Tensor:
        """Return the temperature, ()."""
        with torch.no_grad():
            self.value.clamp_(self.low, self.high)
        return self.value.clone()  # the graph needs a value that the next clamp does not change


def soft_label_kl(labels: Tensor, logits: Tensor) -> Tensor:
    """Compute KL(Q || P) = 1/B sum_ij Q_ij (log Q_ij - log P_ij), where Q = softmax(labels).

    P is softmax(logits).

    Args:
        labels: (B, N), softmax over rows; no gradient is needed.
        logits: (B, N), softmax over rows.

    Returns:
        Shape (), in nats, >= 0; 0 if P = Q.

    >>> alike = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    >>> round(soft_label_kl(alike, torch.tensor([[0.8, 0.2], [0.1, 0.6]]) / 0.45).item(), 5)
    0.05786
    """
    return F.kl_div(
        F.log_softmax(logits, dim=1), F.log_softmax(labels, dim=1), reduction="batchmean", log_target=True
    )


def cosines(rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """Cosines of (B, d) and (N, d), by default the same: (B, N)."""
    unit = F.normalize(rows, dim=-1)
    return unit @ (unit if columns is None else F.normalize(columns, dim=-1)).T


def _head(dim: int, random: torch.Generator) -> nn.Sequential:
    linear = nn.Linear(dim, dim)
    nn.init.normal_(linear.weight, std=0.02, generator=random)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(dim), linear)
