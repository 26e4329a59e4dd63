"""CUSA: soft labels from two frozen teachers, for the joint space and for each modality by itself."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import INFONCE, Method, Setup
from itr_core.methods.components.info_nce import symmetric_info_nce

SOFT_LABELS = ("each", "add", "dot")
CON_REDUCTIONS = ("ce", "mean_all")


class CUSA(Method):
    r"""Learn from InfoNCE who belongs together, and from uni-modal teachers how much the others are alike.

    With the unit embeddings v_i, t_i, the unit outputs a^v_i, a^t_i of a LayerNorm and a Linear on top of
    them, and the teachers' cosines G^v_ij between images, G^t_ij between captions:

        L     = L_con + alpha L_CSA + beta L_USA
        L_CSA = 1/2 [ KL(G^v/tau_s || v t^T / tau_c)     + KL(G^t/tau_s || t v^T / tau_c)     ]
        L_USA = 1/2 [ KL(G^v/tau_s || a^v a^v^T / tau_v) + KL(G^t/tau_s || a^t a^t^T / tau_t) ]

    where KL(G || S) is `soft_label_kl`: each row a softmax over the batch. Image -> text similarities imitate
    the image teacher, text -> image similarities the text teacher. The heads are trained along and kept
    (`heads`), but retrieval stays in the space of v and t; a^v and a^t are for image-image and text-text
    search.

    Args:
        alpha: weight of CSA, >= 0.
        beta: weight of USA, >= 0.
        tau_init: where the learned temperatures tau_c, tau_v and tau_t start, dimensionless, in [0.10, 0.99];
            tau_c is kept there, tau_v and tau_t in [0.10, 1.00].
        tau_s: temperature of the soft labels, fixed, > 0.
        soft_labels: what CSA imitates. 'each': as above; 'add': in both directions the mean (G^v + G^t) / 2;
            'dot': in both the geometric mean sqrt(max(G^v, 0) max(G^t, 0)).
        con_reduction: 'ce', L_con is InfoNCE. 'mean_all', L_con is InfoNCE divided by the batch size B, as in
            the released code, where the mean over rows is one over columns, too: alpha and beta then act as
            B alpha and B beta do in 'ce'; .10 and .50 at the paper's B = 128 as 12.8 and 64. The whole loss
            is given times B, so that the rate, the clipping and AdamW's epsilon mean what they mean for
            every other method: 'mean_all' with (alpha, beta) *is* 'ce' with (B alpha, B beta).

    References:
        Huang et al., Cross-modal and Uni-modal Soft-label Alignment for Image-Text Retrieval, AAAI 2024,
        arXiv:2403.05261, and the authors' code, github.com/lerogo/aaai24_itr_cusa.

    Relations:
        alpha = beta = 0 is InfoNCE. beta = 0 is the paper's "+CSA", alpha = 0 its "+USA". As tau_s -> 0 (and
        no two teacher vectors alike) the soft labels become hard, and CSA becomes InfoNCE at tau_c.
        Next to a method with a contrast of its own (AsCL, CODER), CSA and USA are added to that one.

    Deviations from the paper:
        InfoNCE leaves other captions of the same image out of the batch; the paper's is a cross-entropy with
        several positives. In CSA such siblings count as alike by 1 in both directions, for they share one
        image, whatever the text teacher says; in USA the teachers' word stands, since two captions of one
        image are two texts. Neither matters when no image is in a batch twice.
        The paper's v and t come from another LayerNorm and Linear on top of CLIP; here they are the encoder's
        own, so that any open_clip model of a run is what was trained. InfoNCE has the encoder's temperature.
        Weights are selected on validation; the released code selects them on the test split.
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
                raise ModelError(f"{name}={value!r} is not known to cusa.{did_you_mean(value, known)}")
        for name, weight in (("alpha", alpha), ("beta", beta)):
            if weight < 0:
                raise ModelError(f"{name}={weight}: must be at least 0.")
        if tau_s <= 0:
            raise ModelError(f"tau_s={tau_s}: must be above 0.")
        self.weights = {INFONCE: 1.0, "cusa_csa": alpha, "cusa_usa": beta}
        self.tau_s, self.soft_labels, self.con_reduction = tau_s, soft_labels, con_reduction
        self.cross_temperature = Temperature(tau_init, 0.10, 0.99)
        self.image_temperature = Temperature(tau_init, 0.10, 1.00)
        self.text_temperature = Temperature(tau_init, 0.10, 1.00)

    def build(self, setup: Setup) -> None:
        """Make the uni-modal heads, (d,) -> (d,)."""
        random = torch.Generator().manual_seed(setup.seed)
        self.image_head, self.text_head = (_head(setup.dim, random) for _ in range(2))

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return {"infonce", "cusa_csa", "cusa_usa"}."""
        if batch.teacher_image is None or batch.teacher_text is None:
            raise ModelError(
                "cusa learns from an image teacher and a text teacher (itr_core.features.teachers.open_teachers); "
                "the batch carries no embeddings of theirs."
            )
        alike_images, alike_texts = cosines(batch.teacher_image), cosines(batch.teacher_text)
        times = len(batch.image_id) if self.con_reduction == "mean_all" else 1
        return {
            INFONCE: symmetric_info_nce(out.image, out.text, out.logit_scale, batch.image_id),
            "cusa_csa": times * self._csa(out, alike_images, alike_texts, batch.image_id),
            "cusa_usa": times * self._usa(out, alike_images, alike_texts),
        }

    def _csa(self, out: EncoderOutput, alike_images: Tensor, alike_texts: Tensor, image_id: Tensor) -> Tensor:
        same_image = image_id[:, None] == image_id[None, :]
        of_images, of_texts = (alike.masked_fill(same_image, 1) for alike in (alike_images, alike_texts))
        if self.soft_labels == "add":
            of_images = of_texts = (of_images + of_texts) / 2
        elif self.soft_labels == "dot":
            of_images = of_texts = (of_images.clamp_min(0) * of_texts.clamp_min(0)).sqrt()
        logits = cosines(out.image, out.text) / self.cross_temperature()
        i2t = soft_label_kl(of_images / self.tau_s, logits)
        t2i = soft_label_kl(of_texts / self.tau_s, logits.T)
        return (i2t + t2i) / 2

    def _usa(self, out: EncoderOutput, alike_images: Tensor, alike_texts: Tensor) -> Tensor:
        image_logits = cosines(self.image_head(out.image)) / self.image_temperature()
        text_logits = cosines(self.text_head(out.text)) / self.text_temperature()
        i2i = soft_label_kl(alike_images / self.tau_s, image_logits)
        t2t = soft_label_kl(alike_texts / self.tau_s, text_logits)
        return (i2i + t2t) / 2


class Temperature(nn.Module):
    """A learned temperature, kept in [low, high].

    What a step made too low or too high is put back before it is used, so that a gradient always reaches it:
    at a bound it waits there and leaves as soon as the loss pulls the other way.
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
        return self.value.clone()  # what a graph holds on to must not change when the next batch clamps


def soft_label_kl(labels: Tensor, logits: Tensor) -> Tensor:
    """KL(Q || P) = 1/B sum_ij Q_ij (log Q_ij - log P_ij), Q and P the softmax rows of `labels` and `logits`.

    labels: (B, N), not trained. logits: (B, N). Returns shape (), in nats, >= 0; 0 where P = Q.

    >>> alike = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    >>> round(soft_label_kl(alike, torch.tensor([[0.8, 0.2], [0.1, 0.6]]) / 0.45).item(), 5)
    0.05786
    """
    return F.kl_div(
        F.log_softmax(logits, dim=1), F.log_softmax(labels, dim=1), reduction="batchmean", log_target=True
    )


def cosines(rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """(B, d) and (N, d), by default the same -> (B, N)."""
    unit = F.normalize(rows, dim=-1)
    return unit @ (unit if columns is None else F.normalize(columns, dim=-1)).T


def _head(dim: int, random: torch.Generator) -> nn.Sequential:
    linear = nn.Linear(dim, dim)
    nn.init.normal_(linear.weight, std=0.02, generator=random)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(dim), linear)
