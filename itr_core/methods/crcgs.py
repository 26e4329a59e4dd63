"""CRCGS: contrastive learning from the codes of frozen image -> text and text -> image generators."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.methods.base import INFONCE, Method, Setup, require_at_least, require_positive
from itr_core.methods.components.generators import Generator, fit
from itr_core.methods.components.info_nce import symmetric_info_nce
from itr_core.methods.components.shared_label import shared_label_loss


def noise_contrast(
    teacher: Tensor, student: Tensor, image_id: Tensor, temperature: float, log_c: Tensor | float
) -> Tensor:
    r"""Noise-contrastive loss: distinguish the student of each teacher code from the students of other rows.

    With z_ij = cos(teacher_i, student_j) / T, prior c of the noise, and N_i = {j : image_id_j != image_id_i}:

        L = -1/B sum_i [ log( e^{z_ii} / (e^{z_ii} + c) ) + sum_{j in N_i} log( c / (e^{z_ij} + c) ) ]
          = -1/B sum_i [ log sigmoid(z_ii - log c) + sum_{j in N_i} log sigmoid(log c - z_ij) ]

    The second form is computed, because it cannot overflow.

    Args:
        teacher: (B, h), not normalised.
        student: (B, h), not normalised; row i belongs to row i of the teacher.
        image_id: (B,) integers; rows with equal ids show the same image.
        temperature: T, dimensionless, > 0.
        log_c: (), logarithm of the prior. Without noise (B = 1) it is -inf, and the loss is 0.

    Returns:
        Shape (), in nats, >= 0.

    References:
        Gutmann & Hyvarinen, Noise-contrastive estimation, AISTATS 2010; in the form of the code of CRCGS.

    Relations:
        With all ids different, the sigmoid loss of SigLIP at bias -log c.

    >>> codes = torch.eye(2)
    >>> round(noise_contrast(codes, codes, torch.tensor([0, 1]), 1.0, 0.0).item(), 4)  # log(1 + 1/e) + log 2
    1.0064
    """
    z = F.normalize(teacher, dim=-1) @ F.normalize(student, dim=-1).T / temperature
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    noise = image_id[:, None] != image_id[None, :]
    logits = z - log_c
    return -(F.logsigmoid(logits[own]).sum() + F.logsigmoid(-logits[noise]).sum()) / len(z)


def support_weights(query: Tensor, support: Tensor, labels: Tensor, temperature: float) -> Tensor:
    r"""Compute the weights with which rows of the other modality support each query.

        A_ij = C_ij exp(cos(query_i, support_j) / T_s) / sum_k C_ik exp(cos(query_i, support_k) / T_s)

    where C_ij is the number of labels that i and j share: similar rows with common labels weigh most.

    Args:
        query: (B, h), not normalised.
        support: (B, h), not normalised.
        labels: (B, C), 0 or 1, with at least one label in every row.
        temperature: T_s, dimensionless, > 0.

    Returns:
        (B, B), >= 0; rows sum to 1; 0 where no label is shared.
    """
    alike = F.normalize(query, dim=-1) @ F.normalize(support, dim=-1).T
    return (alike / temperature + (labels @ labels.T).log()).softmax(dim=1)


def support_loss(image: Tensor, text: Tensor, labels: Tensor, temperature: float) -> Tensor:
    r"""Make each image similar to the texts that support it, and each text similar to its supporting images.

        L = -log( 1/2 [ mean_i cos(image_i, (A^v text)_i) + mean_i cos(text_i, (A^t image)_i) ] )

    with A^v, A^t from `support_weights`. Rows without labels are skipped.

    Args:
        image: (B, h), not normalised, entries >= 0 (with negative entries the mean may be negative; it is
            then clamped to 1e-6).
        text: (B, h), not normalised; row i belongs to image i.
        labels: (B, C), 1 if the row has the label, else 0.
        temperature: T_s, dimensionless, > 0.

    Returns:
        Shape (), in nats, in [0, 13.9]; 0 if no row has a label.

    >>> codes = torch.eye(2)
    >>> support_loss(codes, codes, torch.eye(2), 0.1).item()  # each row supports only itself
    -0.0
    """
    labelled = labels.any(dim=1)
    if not labelled.any():
        return (image.sum() + text.sum()) * 0
    image, text, labels = image[labelled], text[labelled], labels[labelled]
    for_image = support_weights(image, text, labels, temperature) @ text
    for_text = support_weights(text, image, labels, temperature) @ image
    alike = F.cosine_similarity(image, for_image).mean() + F.cosine_similarity(text, for_text).mean()
    return -(alike / 2).clamp(min=1e-6).log()


_AUTHORS: dict[str, Any] = {
    "w_infonce": 0.0,
    "use_adv": True,
    "learn_bias": False,
    "code_dim": 1024,
    "generator_width": 2048,
}
"""What the authors' settings of all data sets have in common and our defaults have not."""


class CRCGS(Method):
    r"""Contrastive learning with auxiliary generative features and support-set regularisation.

    Two generators, image -> text and text -> image, are pretrained on the source's own embeddings and frozen;
    their codes g^v (image -> text) and g^t (text -> image) contain what one modality predicts of the other.
    Student heads map the embeddings v, t of the encoder to u^v, u^t, which learn from the codes:

        L = w_infonce InfoNCE(v, t) + L_o + w_t L_t + w_c (L_intra + L_inter + L_direct) + w_ss L_ss
            + w_ta L_ta

        L_o      = phi [BCE(head(v), y) + BCE(head(t), y)] + alpha_pair `shared_label_loss`(v, t)
                   + beta_inv mean_i |v_i - t_i|
        L_t      = MSE(u^v, g^v) + MSE(u^t, g^t)
        L_intra  = 1/4 [NCE(g^v, u^v) + NCE(g^t, u^t)]           with NCE = `noise_contrast` at T
        L_inter  = 1/4 [NCE(g^v, u^t) + NCE(g^t, u^v)]
        L_direct = 1/4 NCE(u^v, u^t)             (option `direct`; in the paper's figure, not in its code)
        L_ss     = `support_loss`(u^v, u^t) at T_s
        L_ta     = -mean log D_img(decode(u^t)) - mean log D_txt(decode(u^v))          (option `use_adv`)

    Retrieval uses only v and t; heads, generators and critics are needed for training alone.

    The presets "coco", "mirflickr" and "nuswide" have the objective, weights, temperatures and widths of the
    authors' code on these data sets. The authors train with Adam, a learning rate of 1e-4 and batches of 80.

    Args:
        w_infonce: weight of InfoNCE, >= 0; 0 for the paper's objective, which does not have it.
        w_t, w_c, w_ss, w_ta: weights of the terms, >= 0. The authors use w_ss = 0.001 (COCO, MIRFLICKR) and
            40 (NUS-WIDE); select it on validation data.
        phi, alpha_pair, beta_inv: weights within L_o, >= 0. If all are 0, labels are used only for the
            support sets.
        nce_temperature, support_temperature: T and T_s, dimensionless, > 0.
        intra, inter, direct: which of the three contrasts are computed.
        noise_count: N of the prior c = (B - 1) / N. 0: the number of batches of B pairs in the training
            images, as in the authors' code; -1: the number of training images. With -1, c is B times smaller,
            and so is, for a small c, the gradient that draws a student to its own teacher code.
        learn_bias: learn an offset of log c, which starts at 0.
        use_adv: add L_ta.
        code_dim: h, number of dimensions of the codes and the students, >= 1.
        generator_width: number of hidden units of the generators, >= 1.

    References:
        Zhang et al., Image-Text Retrieval via Contrastive Learning with Auxiliary Generative Features and
        Support-set Regularization, SIGIR 2022, doi:10.1145/3477495.3531783; formulas and weights follow its
        code, github.com/Hambaobao/CRCGS.
        Zhen et al., Deep Supervised Cross-Modal Retrieval, CVPR 2019 (the terms of L_o).

    Relations:
        With all weights except that of InfoNCE at 0, it is InfoNCE.

    Deviations from the paper:
        The paper retrieves items of the same category. By default we add InfoNCE, which the paper does not
        have (`w_infonce`), so that the model also learns to retrieve the paired image or caption. Two
        captions of one image are not noise for each other.
        Embeddings of the encoder replace VGG features and bags of words in the generators, and the output of
        the shared layer in L_o (normalised in its last two terms). Labels may be pseudo-labels.
        A LayerNorm precedes the label head and the student heads, because the norm of embeddings differs
        between encoders. The generators use GELU instead of ReLU, and no ReLU after the last layer of the
        decoder, because embeddings have negative entries and bags of words have not. By default hidden layers
        and codes of the generators are narrower (512 and 256 instead of 2048 and 1024). The critics have two
        hidden layers (256, 64) instead of three.
        The pretraining of the generators is reconstructed: the code only shows that it uses L1. g^t is the
        code of the mean caption of an image, not of the caption in the batch. One code per image and modality
        in half precision is therefore enough (100 MB of state for 100,000 images), and no generator runs
        during training. By default log c has a learned offset. The mean in L_ss is clamped to at least 1e-6.
        Rows without labels are skipped in L_ss and in the second term of L_o. The critics are updated once in
        the same step as the students, instead of three times before it, by the same optimiser with the same
        gradient clipping: the term "crcgs_critic" has gradients only for the critics, "crcgs_adversary" only
        for everything else. The critics output one logit instead of two.
    """

    needs = frozenset({"labels"})
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "coco": _AUTHORS | {"beta_inv": 0.011, "nce_temperature": 0.1},
        "mirflickr": _AUTHORS | {"nce_temperature": 0.2, "support_temperature": 0.04},
        "nuswide": _AUTHORS | {"w_ss": 40.0},
    }
    image_codes: Tensor
    """g^v of each training image, (n, h) float16."""
    text_codes: Tensor
    """g^t of the mean caption of each training image, (n, h) float16."""

    def __init__(
        self,
        *,
        w_infonce: float = 1.0,
        w_t: float = 0.2,
        w_c: float = 0.03,
        w_ss: float = 0.001,
        w_ta: float = 0.01,
        phi: float = 1.0,
        alpha_pair: float = 1.0,
        beta_inv: float = 0.001,
        nce_temperature: float = 0.07,
        support_temperature: float = 0.06,
        intra: bool = True,
        inter: bool = True,
        direct: bool = False,
        noise_count: int = 0,
        learn_bias: bool = True,
        use_adv: bool = False,
        code_dim: int = 256,
        generator_width: int = 512,
    ) -> None:
        super().__init__()
        require_at_least(0, w_infonce=w_infonce, w_t=w_t, w_c=w_c, w_ss=w_ss, w_ta=w_ta)
        require_at_least(0, phi=phi, alpha_pair=alpha_pair, beta_inv=beta_inv)
        require_positive(nce_temperature=nce_temperature, support_temperature=support_temperature)
        require_at_least(1, code_dim=code_dim, generator_width=generator_width)
        require_at_least(-1, noise_count=noise_count)
        self.intra, self.inter, self.direct, self.use_adv = intra, inter, direct, use_adv
        self.nce_temperature, self.support_temperature = nce_temperature, support_temperature
        self.noise_count, self.code_dim, self.generator_width = noise_count, code_dim, generator_width
        self.bias = nn.Parameter(torch.zeros(()), requires_grad=learn_bias)
        self.weights = {
            **({INFONCE: w_infonce} if w_infonce else {}),
            "crcgs_label": phi,
            "crcgs_pair": alpha_pair,
            "crcgs_invariance": beta_inv,
            "crcgs_match": w_t,
            "crcgs_support": w_ss,
        }
        contrasts = {"crcgs_nce_intra": intra, "crcgs_nce_inter": inter, "crcgs_nce_direct": direct}
        self.weights |= {name: w_c for name, enabled in contrasts.items() if enabled}
        if use_adv:
            self.weights |= {"crcgs_adversary": w_ta, "crcgs_critic": 1.0}

    def build(self, setup: Setup) -> None:
        """Create heads, generators, codes and, with `use_adv`, critics; the seed determines their weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            d, h = setup.dim, self.code_dim
            self.image_head, self.text_head = (
                nn.Sequential(nn.LayerNorm(d), nn.Linear(d, h), nn.ReLU()) for _ in range(2)
            )
            self.label_head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, len(setup.labels)))
            self.image_to_text = Generator(d, width=self.generator_width, code_dim=h).requires_grad_(False)
            self.text_to_image = Generator(d, width=self.generator_width, code_dim=h).requires_grad_(False)
            if self.use_adv:
                self.image_critic, self.text_critic = _critic(d), _critic(d)
        n = len(setup.captions)
        self.register_buffer("image_codes", torch.zeros(n, h, dtype=torch.float16))
        self.register_buffer("text_codes", torch.zeros(n, h, dtype=torch.float16))

    def prepare(self, setup: Setup) -> None:
        """Train the generators on the embeddings of the source before training, and store their codes."""
        assert setup.embed is not None
        image, text = (torch.from_numpy(rows) * setup.dim**0.5 for rows in setup.embed())  # entries about 1
        complete = image.any(dim=1) & text.any(dim=1)
        for generator, codes, source, target in (
            (self.image_to_text, self.image_codes, image, text),
            (self.text_to_image, self.text_codes, text, image),
        ):
            generator.requires_grad_(True)
            fit(generator, source[complete], target[complete], seed=setup.seed)
            with torch.inference_mode():
                codes.copy_(generator.encode(source))

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the terms named in `weights`."""
        assert batch.labels is not None
        v, t = F.normalize(out.image, dim=-1), F.normalize(out.text, dim=-1)
        u_v, u_t = self.image_head(out.image), self.text_head(out.text)
        g_v, g_t = self.image_codes[batch.image_id].float(), self.text_codes[batch.image_id].float()
        label_logits = torch.stack([self.label_head(out.image), self.label_head(out.text)])
        terms = {
            "crcgs_label": 2
            * F.binary_cross_entropy_with_logits(label_logits, batch.labels.expand_as(label_logits)),
            "crcgs_pair": shared_label_loss(v, t, batch.labels),
            "crcgs_invariance": (v - t).norm(dim=1).mean(),
            "crcgs_match": F.mse_loss(u_v, g_v) + F.mse_loss(u_t, g_t),
            "crcgs_support": support_loss(u_v, u_t, batch.labels, self.support_temperature),
        }
        if INFONCE in self.weights:
            terms[INFONCE] = symmetric_info_nce(out.image, out.text, out.logit_scale, batch.image_id)
        if self.intra:
            terms["crcgs_nce_intra"] = self._contrast(batch, [(g_v, u_v), (g_t, u_t)])
        if self.inter:
            terms["crcgs_nce_inter"] = self._contrast(batch, [(g_v, u_t), (g_t, u_v)])
        if self.direct:
            terms["crcgs_nce_direct"] = self._contrast(batch, [(u_v, u_t)])
        if self.use_adv:
            terms |= self._adversarial(u_v, u_t, g_v, g_t)
        return terms

    def _contrast(self, batch: PairBatch, sides: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        pairs, images = len(batch.image_id), len(self.image_codes)
        count = {0: math.ceil(images / pairs), -1: images}.get(self.noise_count, self.noise_count)
        prior = self.bias.new_tensor((pairs - 1) / count)
        each = [
            noise_contrast(teacher, student, batch.image_id, self.nce_temperature, prior.log() + self.bias)
            for teacher, student in sides
        ]
        return torch.stack(each).sum() / 4

    def _adversarial(self, u_v: Tensor, u_t: Tensor, g_v: Tensor, g_t: Tensor) -> dict[str, Tensor]:
        """Compute the two terms of L_ta: students fool the critics; critics tell students from teachers."""
        adversary_loss, critic_loss = u_v.new_zeros(()), u_v.new_zeros(())
        for critic, decode, student, teacher in (
            (self.image_critic, self.text_to_image.decode, u_t, g_t),
            (self.text_critic, self.image_to_text.decode, u_v, g_v),
        ):
            fake, real = decode(student), decode(teacher)
            frozen = {name: weight.detach() for name, weight in critic.named_parameters()}
            adversary_loss -= F.logsigmoid(functional_call(critic, frozen, fake)).mean()
            critic_loss -= (F.logsigmoid(-critic(fake.detach())) + F.logsigmoid(critic(real))).mean() / 2
        return {"crcgs_adversary": adversary_loss, "crcgs_critic": critic_loss}

    def heads(self) -> dict[str, Tensor]:
        """Return the trained parameters, without the frozen generators and their codes."""
        return {name: weight.detach() for name, weight in self.named_parameters() if weight.requires_grad}


def _critic(dim: int) -> nn.Module:
    """Build a critic: (B, d) -> (B, 1), the log odds that the input comes from the code of a teacher."""
    return nn.Sequential(nn.Linear(dim, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 1))
