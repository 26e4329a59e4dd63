"""CODER: a contrast with dictionaries that follow, at the level of instances and at that of concepts."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import Method, Setup
from itr_core.methods.components.concept_branch import ConceptBranch, attention_divergence
from itr_core.methods.components.dcl import SCHEMES, symmetric_dcl
from itr_core.methods.components.momentum_queue import MomentumQueue, PairEmbeddings
from itr_core.methods.components.online_clusters import OnlineClusters

COLDEST, HOTTEST = 0.01, 0.1
CLUSTER_TEMPERATURE = 0.1


class CODER(Method):
    r"""CODER-style: diversity-sensitive momentum contrast (DCL) in two coupled branches.

    Keys v^k, t^k come from a copy of the encoder that follows it slowly. Dictionaries hold the keys of the
    last `queue` pairs; with them, and with the other pairs of the batch, as negatives:

        L = L_DCL(v, t) + lambda_c L_DCL(u^v, u^t) + lambda_p L_PCL [ + lambda_kl KL(a^t || a^v) ]

    L_DCL is `symmetric_dcl`: InfoNCE in which negatives weigh what they are worth to their anchor. The
    instance branch also makes pseudo-labels: q_i, the share of pair i in M clusters (`OnlineClusters`) of
    (v^k + t^k) / 2, balanced over batch and dictionary. The concept branch asks a graph of concepts what v
    and t are about (`ConceptBranch`); of its descriptors u^v, u^t there are dictionaries too, and they must
    tell the cluster:

        L_PCL = -1/2 mean_i sum_m q_im ( log softmax_m(H_v u^v_i / tau_p) + log softmax_m(H_t u^t_i / tau_p) )

    L_PCL trains the concept branch alone; no gradient of it reaches the encoder. tau is the encoder's learned
    temperature within [0.01, 0.1], tau_p = 0.1. A dictionary takes part once it is full.

    Args:
        queue: K, pairs in a dictionary, at most as many as there are training images; 0 has none.
        momentum: m in [0, 1], how much of the following copies stays at every step.
        scheme: how negatives are weighed, see `negative_weights` and `dcl_loss`.
        sharpness: beta, how sharply they are weighed, >= 0; 0 weighs all alike.
        batch_negatives: the other pairs of the batch are negatives too, even when there is a dictionary.
        live_batch: contrast the batch with itself instead of with its keys, so that gradients reach both
            sides. Through keys, as in MoCo, each modality learns to search, but not to be found: a text
            encoder never hears that an image took one of its texts for another.
        concept_branch: False leaves L_DCL(v, t) alone.
        clusters: M.
        lambda_c, lambda_p, lambda_kl: weights of the concept branch's terms, >= 0.

    Returns (forward):
        coder_dcl_instance and, with the concept branch, coder_dcl_concept, coder_pcl, coder_concept_kl (where
        lambda_kl > 0), each (), in nats.

    References:
        Wang et al., CODER: Coupled Diversity-Sensitive Momentum Contrastive Learning for Image-Text
        Retrieval, ECCV 2022, arXiv:2208.09843.

    Relations:
        With concept_branch=False and scheme="none": MoCo (arXiv:1911.05722) across two modalities where
        batch_negatives=False, too; InfoNCE where queue=0 and live_batch=True. Replaces InfoNCE in
        combinations. Beside teachers (CUSA), negatives in the batch weigh
        1 - max(teacher similarity, 0) of what they would, so that the one does not push apart what the other
        pulls together.

    Deviations from the paper:
        Reconstructed: its abstract gives the two branches, both dictionaries, adaptive negative weights, the
        graph query and the pseudo-label loss; the formulas of weights, clusters and query, and all constants,
        are ours or those of related work (MoCo, SwAV, CVSE, USER), as named where they stand. The encoder is
        any dual encoder instead of region features and BERT. Retrieval uses v and t.
    """

    replaces_infonce = True

    def __init__(
        self,
        *,
        queue: int = 4096,
        momentum: float = 0.995,
        scheme: str = "zscore",
        sharpness: float = 1.0,
        batch_negatives: bool = True,
        live_batch: bool = False,
        concept_branch: bool = True,
        clusters: int = 100,
        lambda_c: float = 1.0,
        lambda_p: float = 0.5,
        lambda_kl: float = 0.0,
    ) -> None:
        super().__init__()
        if scheme not in SCHEMES:
            raise ModelError(f"scheme={scheme!r} weighs no negatives.{did_you_mean(scheme, SCHEMES)}")
        for option, value, least in (
            ("queue", queue, 0),
            ("sharpness", sharpness, 0),
            ("clusters", clusters, 2),
            ("lambda_c", lambda_c, 0),
            ("lambda_p", lambda_p, 0),
            ("lambda_kl", lambda_kl, 0),
        ):
            if value < least:
                raise ModelError(f"{option}={value}: must be at least {least}.")
        if not 0 <= momentum <= 1:
            raise ModelError(f"momentum={momentum}: must be between 0 and 1.")
        if not queue and not batch_negatives:
            raise ModelError("queue=0 with batch_negatives=False leaves nothing to contrast with.")
        self.queue, self.momentum, self.number_of_clusters = queue, momentum, clusters
        self.scheme, self.sharpness = scheme, sharpness
        self.batch_negatives, self.live_batch = batch_negatives, live_batch
        self.concept_branch = concept_branch
        self.needs = frozenset({"momentum"})
        self.weights = {"coder_dcl_instance": 1.0}
        if concept_branch:
            self.needs |= {"concepts"}
            self.weights |= {"coder_dcl_concept": lambda_c, "coder_pcl": lambda_p}
            if lambda_kl:
                self.weights["coder_concept_kl"] = lambda_kl

    def build(self, setup: Setup) -> None:
        """Make the dictionaries and the concept branch; raise ModelError for a queue larger than the data."""
        if self.queue > len(setup.captions):
            raise ModelError(
                f"queue={self.queue}: a dictionary would hold more pairs than the source has images, "
                f"{len(setup.captions)}. Give it fewer: --options queue={max(len(setup.captions) // 2, 1)}."
            )
        self.instances = MomentumQueue(self.queue, setup.dim)
        if not self.concept_branch:
            return
        assert setup.concepts is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            self.concepts = ConceptBranch(setup.dim, setup.concepts.adjacency)
            self.clusters = OnlineClusters(self.number_of_clusters, setup.dim)
            self.image_cluster_head = nn.Linear(setup.dim, self.number_of_clusters)  # H_v
            self.text_cluster_head = nn.Linear(setup.dim, self.number_of_clusters)  # H_t
        self.descriptors = MomentumQueue(self.queue, setup.dim)
        averaging = get_ema_multi_avg_fn(self.momentum)
        self.ema_branch: Any = AveragedModel(self.concepts, multi_avg_fn=averaging).requires_grad_(False)

    def prepare(self, setup: Setup) -> None:
        """Let the concepts begin where the encoder puts their names."""
        if self.concept_branch:
            assert setup.concepts is not None
            assert setup.encode_texts is not None
            self.concepts.set_nodes(setup.concepts.names, setup.encode_texts)

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the terms; while training, take the batch's keys into the dictionaries afterwards."""
        assert out.momentum is not None
        tau = (1 / out.logit_scale).clamp(COLDEST, HOTTEST)
        anchors, keys = (PairEmbeddings.of(each, batch.image_id) for each in (out, out.momentum))
        terms = {"coder_dcl_instance": self._dcl(anchors, keys, self.instances, tau, batch)}
        if self.concept_branch:
            terms |= self._concept_terms(anchors, keys, tau, batch)
        if self.training:
            self.instances.enqueue(keys)
        return {name: terms[name] for name in self.weights}

    def heads(self) -> dict[str, Tensor]:
        """The concept branch with its graph, and what tells clusters from its descriptors."""
        parts = ("concepts.", "guess_image.", "guess_text.")
        return {name: value for name, value in self.state_dict().items() if name.startswith(parts)}

    def _dcl(
        self,
        anchors: PairEmbeddings,
        keys: PairEmbeddings,
        dictionary: MomentumQueue,
        tau: Tensor,
        batch: PairBatch,
    ) -> Tensor:
        own, others, false_negative_prob = anchors if self.live_batch else keys, dictionary.entries(), None
        if self.batch_negatives or not len(others.ids):
            others = own.beside(others)
            false_negative_prob = _doubt(batch, len(others.ids))
        return symmetric_dcl(anchors, own, others, tau, self.scheme, self.sharpness, false_negative_prob)

    def _concept_terms(
        self, anchors: PairEmbeddings, keys: PairEmbeddings, tau: Tensor, batch: PairBatch
    ) -> dict[str, Tensor]:
        named = batch.concepts
        assert named is not None
        related = self.concepts.related()
        described = self.concepts(related, anchors.image, anchors.text, named)
        described_alone = self.concepts(related, anchors.image.detach(), anchors.text.detach(), named)
        with torch.no_grad():
            if self.training:
                self.ema_branch.update_parameters(self.concepts)
            ema_branch = self.ema_branch.module
            followed = ema_branch(ema_branch.related(), keys.image, keys.text, named)
        u, u_keys = (PairEmbeddings(each.image, each.text, batch.image_id) for each in (described, followed))
        clusters = self._pseudo_labels(keys)
        terms = {
            "coder_dcl_concept": self._dcl(u, u_keys, self.descriptors, tau, batch),
            "coder_pcl": pseudo_label_loss(
                self.image_cluster_head(described_alone.image),
                self.text_cluster_head(described_alone.text),
                clusters,
            ),
            "coder_concept_kl": attention_divergence(described),
        }
        if self.training:
            self.descriptors.enqueue(u_keys)
        return terms

    def _pseudo_labels(self, keys: PairEmbeddings) -> Tensor:
        """Share the batch's pairs, together with the dictionary's, out among the clusters: (B, M)."""
        pairs = keys.beside(self.instances.entries())
        points = (pairs.image + pairs.text) / 2
        batch = len(keys.ids)
        labels = self.clusters.assign(points)[:batch]
        if self.training:
            self.clusters.update(points[:batch], labels, pool=points)
        return labels


def pseudo_label_loss(image_logits: Tensor, text_logits: Tensor, labels: Tensor) -> Tensor:
    """L_PCL: cross-entropy of both modalities' guesses (B, M) with soft labels (B, M); (), in nats."""
    guesses = image_logits / CLUSTER_TEMPERATURE, text_logits / CLUSTER_TEMPERATURE
    return torch.stack([F.cross_entropy(guess, labels) for guess in guesses]).mean()


def _doubt(batch: PairBatch, others: int) -> tuple[Tensor, Tensor] | None:
    """How much alike teachers find the texts, and the images, of a batch: (B, others) twice, in [0, 1].

    The first B of the others are the batch; of those in the dictionary no teacher says anything.
    """
    if batch.teacher_image is None or batch.teacher_text is None:
        return None
    units = F.normalize(batch.teacher_text, dim=-1), F.normalize(batch.teacher_image, dim=-1)
    text, image = (F.pad((unit @ unit.T).clamp(0, 1), (0, others - len(unit))) for unit in units)
    return text, image
