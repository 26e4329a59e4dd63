"""CODER: momentum contrast with queues of keys, for instances and for concepts."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders.concept_branch import ConceptBranch, attention_divergence
from itr_core.encoders.heads import ConceptRole, Roles
from itr_core.errors import ModelError, did_you_mean
from itr_core.methods.base import Method, Setup, require_at_least
from itr_core.methods.components.dcl import SCHEMES, symmetric_dcl
from itr_core.methods.components.momentum_queue import MomentumQueue, PairEmbeddings
from itr_core.methods.components.online_clusters import OnlineClusters

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 0.1
CLUSTER_TEMPERATURE = 0.1
QUEUE = 4096
AUTOMATIC = -1
"""Value of an option that is chosen from the data."""

# Attribute -> its name in saved files. Runs and heads of earlier versions have these names, so they stay.
FILE_NAMES = {
    "ema_branch": "following",
    "image_cluster_head": "guess_image",
    "text_cluster_head": "guess_text",
}


class CODER(Method):
    r"""Diversity-sensitive momentum contrast (DCL) in two coupled branches, after CODER.

    Keys v^k, t^k come from a momentum copy of the encoder. Queues store the keys of the last `queue` pairs.
    With these and the other pairs of the batch as negatives:

        L = L_DCL(v, t) + lambda_c L_DCL(u^v, u^t) + lambda_p L_PCL [ + lambda_kl KL(a^t || a^v) ]

    L_DCL is `symmetric_dcl`: InfoNCE with adaptive weights of the negatives. The instance branch also makes
    pseudo-labels q_i: soft assignments of pair i to M clusters (`OnlineClusters`) of (v^k + t^k) / 2,
    balanced over batch and queue. The concept branch describes v and t by a graph of concepts
    (`ConceptBranch`). Its descriptors u^v, u^t have queues of their own, and predict the pseudo-labels:

        L_PCL = -1/2 mean_i sum_m q_im ( log softmax_m(H_v u^v_i / tau_p) + log softmax_m(H_t u^t_i / tau_p) )

    L_PCL trains only the concept branch; its gradients do not reach the encoder. tau is the learned
    temperature of the encoder, clamped to [0.01, 0.1]; tau_p = 0.1. A queue is used once it is full.

    Retrieval uses (cos(v, t) + lambda_s cos(u^v, u^t)) / (1 + lambda_s).

    Args:
        queue: K, number of pairs in a queue, at most the number of training images; 0 disables the queues.
            -1: 4,096, at most half of the training images.
        momentum: m in [0, 1], decay of the momentum copies. 1 keeps the copies as they are at the start: a
            control that shows whether keys have to follow the encoder.
        scheme: weighting scheme of the negatives, see `negative_weights` and `dcl_loss`.
        sharpness: beta, sharpness of the weights, >= 0; 0 weights all negatives equally.
        batch_negatives: use the other pairs of the batch as negatives, in addition to the queue.
        live_batch: contrast the batch with itself instead of with its keys, so that gradients reach both
            sides. Keys have no gradients (as in MoCo): with False, each modality learns only as a query, not
            as an item of the gallery. For example, the text encoder gets no gradient when an image retrieves
            a wrong text.
        concept_branch: False trains L_DCL(v, t) only.
        clusters: M, number of clusters, >= 2.
        lambda_c, lambda_p, lambda_kl: weights of the terms of the concept branch, >= 0.
        lambda_s: weight of the concept branch in retrieval, >= 0; -1 chooses it on the validation data,
            without which the concept branch takes no part.

    Returns (forward):
        coder_dcl_instance and, with the concept branch, coder_dcl_concept, coder_pcl and (if lambda_kl > 0)
        coder_concept_kl; each of shape (), in nats.

    References:
        Wang et al., CODER: Coupled Diversity-Sensitive Momentum Contrastive Learning for Image-Text
        Retrieval, ECCV 2022, arXiv:2208.09843.

    Relations:
        With concept_branch=False and scheme="none" it is MoCo (arXiv:1911.05722) across two modalities if
        batch_negatives=False and live_batch=False, and InfoNCE if queue=0 and live_batch=True. In
        combinations it replaces InfoNCE. Combined with a method that has teachers (CUSA), the weights of
        negatives in the batch are multiplied by 1 - max(teacher similarity, 0), so that one method does not
        push apart what the other pulls together.

    Deviations from the paper:
        Reconstructed: the abstract names the two branches, both queues, adaptive weights of negatives, the
        graph query and the pseudo-label loss. The formulas of weights, clusters and query, and all constants,
        are ours or come from related work (MoCo, SwAV, CVSE, USER), cited where they are used. The encoder is
        any dual encoder instead of region features and BERT. By default the batch is contrasted with itself
        and not with its keys (`live_batch`).
    """

    replaces_infonce = True

    def __init__(
        self,
        *,
        queue: int = -1,
        momentum: float = 0.995,
        scheme: str = "zscore",
        sharpness: float = 1.0,
        batch_negatives: bool = True,
        live_batch: bool = True,
        concept_branch: bool = True,
        clusters: int = 100,
        lambda_c: float = 1.0,
        lambda_p: float = 0.5,
        lambda_kl: float = 0.0,
        lambda_s: float = -1.0,
    ) -> None:
        super().__init__()
        if scheme not in SCHEMES:
            raise ModelError(f"scheme={scheme!r}: unknown weighting scheme.{did_you_mean(scheme, SCHEMES)}")
        require_at_least(0, sharpness=sharpness, lambda_c=lambda_c, lambda_p=lambda_p, lambda_kl=lambda_kl)
        require_at_least(AUTOMATIC, queue=queue)
        require_at_least(2, clusters=clusters)
        if not (lambda_s >= 0 or lambda_s == AUTOMATIC):
            raise ModelError(
                f"lambda_s={lambda_s}: must be at least 0, or -1 to choose it on the validation data."
            )
        if not 0 <= momentum <= 1:
            raise ModelError(f"momentum={momentum}: must be between 0 and 1.")
        if not queue and not batch_negatives:
            raise ModelError("queue=0 with batch_negatives=False: there are no negatives. Set one of them.")
        self.queue, self.momentum, self.number_of_clusters = queue, momentum, clusters
        self.scheme, self.sharpness = scheme, sharpness
        self.batch_negatives, self.live_batch = batch_negatives, live_batch
        self.concept_branch, self.lambda_s = concept_branch, lambda_s
        # torch's methods have no types
        self.register_state_dict_post_hook(_to_file_names)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_from_file_names)  # type: ignore[no-untyped-call]
        self.needs = frozenset({"momentum"})
        self.weights = {"coder_dcl_instance": 1.0}
        if concept_branch:
            self.needs |= {"concepts"}
            self.weights |= {"coder_dcl_concept": lambda_c, "coder_pcl": lambda_p}
            if lambda_kl:
                self.weights["coder_concept_kl"] = lambda_kl

    def build(self, setup: Setup) -> None:
        """Create the queues and the concept branch.

        Raises:
            ModelError: the queue is larger than the number of training images.
        """
        images = len(setup.captions)
        if self.queue == AUTOMATIC:
            self.queue = min(QUEUE, images // 2)
            if self.queue < QUEUE:
                self.notes = (
                    f"CODER's queue holds {self.queue:,} pairs instead of {QUEUE:,}: half of the {images:,} "
                    "training images (--options queue=K sets another length).",
                )
        if self.queue > images:
            raise ModelError(
                f"queue={self.queue}: the queue is longer than the source ({images} images). "
                f"Choose a shorter one: --options queue={max(images // 2, 1)}."
            )
        self.instances = MomentumQueue(self.queue, setup.dim)
        if not self.concept_branch:
            return
        assert setup.concepts is not None
        self.concept_names = list(setup.concepts.names)
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
        """Initialise the concepts with the embeddings of their names."""
        if self.concept_branch:
            assert setup.concepts is not None
            assert setup.encode_texts is not None
            self.concepts.set_nodes(setup.concepts.names, setup.encode_texts)

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the terms; in training mode, enqueue the keys of the batch afterwards."""
        assert out.momentum is not None
        tau = (1 / out.logit_scale).clamp(MIN_TEMPERATURE, MAX_TEMPERATURE)
        anchors, keys = (PairEmbeddings.of(each, batch.image_id) for each in (out, out.momentum))
        terms = {"coder_dcl_instance": self._dcl(anchors, keys, self.instances, tau, batch)}
        if self.concept_branch:
            terms |= self._concept_terms(anchors, keys, tau, batch)
        if self.training:
            self.instances.enqueue(keys)
        return {name: terms[name] for name in self.weights}

    def heads(self) -> dict[str, Tensor]:
        """Return the concept branch with its graph, and the two cluster heads, with their `FILE_NAMES`."""
        prefixes = ("concepts.", *(FILE_NAMES[head] for head in ("image_cluster_head", "text_cluster_head")))
        return {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}

    def roles(self) -> Roles:
        """Return the concept branch, whose descriptors are extra embeddings."""
        if not self.concept_branch or self.lambda_s == 0:
            return Roles()
        return Roles(
            concepts=ConceptRole(names=self.concept_names), extra_weight=max(float(self.lambda_s), 0.0)
        )

    def _dcl(
        self,
        anchors: PairEmbeddings,
        keys: PairEmbeddings,
        queue: MomentumQueue,
        tau: Tensor,
        batch: PairBatch,
    ) -> Tensor:
        own, others, false_negative_prob = anchors if self.live_batch else keys, queue.entries(), None
        if self.batch_negatives or not len(others.ids):
            others = own.followed_by(others)
            false_negative_prob = _false_negative_prob(batch, len(others.ids))
        return symmetric_dcl(anchors, own, others, tau, self.scheme, self.sharpness, false_negative_prob)

    def _concept_terms(
        self, anchors: PairEmbeddings, keys: PairEmbeddings, tau: Tensor, batch: PairBatch
    ) -> dict[str, Tensor]:
        named = batch.concepts
        assert named is not None
        related = self.concepts.related()
        described = self.concepts(related, anchors.image, anchors.text, named)
        described_detached = self.concepts(related, anchors.image.detach(), anchors.text.detach(), named)
        with torch.no_grad():
            if self.training and not (self.momentum == 1 and self.ema_branch.n_averaged):
                self.ema_branch.update_parameters(self.concepts)
            ema_branch = self.ema_branch.module
            described_keys = ema_branch(ema_branch.related(), keys.image, keys.text, named)
        u, u_keys = (
            PairEmbeddings(each.image, each.text, batch.image_id) for each in (described, described_keys)
        )
        clusters = self._pseudo_labels(keys)
        terms = {
            "coder_dcl_concept": self._dcl(u, u_keys, self.descriptors, tau, batch),
            "coder_pcl": pseudo_label_loss(
                self.image_cluster_head(described_detached.image),
                self.text_cluster_head(described_detached.text),
                clusters,
            ),
            "coder_concept_kl": attention_divergence(described),
        }
        if self.training:
            self.descriptors.enqueue(u_keys)
        return terms

    def _pseudo_labels(self, keys: PairEmbeddings) -> Tensor:
        """Assign the pairs of the batch to clusters, balanced together with those of the queue: (B, M)."""
        pairs = keys.followed_by(self.instances.entries())
        points = (pairs.image + pairs.text) / 2
        batch = len(keys.ids)
        labels = self.clusters.assign(points)[:batch]
        if self.training:
            self.clusters.update(points[:batch], labels, pool=points)
        return labels


def _to_file_names(_: nn.Module, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    for attribute, name in FILE_NAMES.items():
        _rename(state, f"{prefix}{attribute}.", f"{prefix}{name}.")


def _from_file_names(_: nn.Module, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    for attribute, name in FILE_NAMES.items():
        _rename(state, f"{prefix}{name}.", f"{prefix}{attribute}.")


def _rename(state: dict[str, Tensor], old: str, new: str) -> None:
    """Replace the beginning `old` of keys by `new`."""
    for key in [key for key in state if key.startswith(old)]:
        state[new + key.removeprefix(old)] = state.pop(key)


def pseudo_label_loss(image_logits: Tensor, text_logits: Tensor, labels: Tensor) -> Tensor:
    """Compute L_PCL: mean cross-entropy of the logits (B, M) of both modalities with soft labels (B, M).

    Returns shape (), in nats.
    """
    logits = image_logits / CLUSTER_TEMPERATURE, text_logits / CLUSTER_TEMPERATURE
    return torch.stack([F.cross_entropy(each, labels) for each in logits]).mean()


def _false_negative_prob(batch: PairBatch, others: int) -> tuple[Tensor, Tensor] | None:
    """Similarities of the texts, and of the images, by the teachers: (B, others) twice, in [0, 1].

    The first B of the others are the batch. Those of the queue have no teacher embeddings, so theirs are 0.
    """
    if batch.teacher_image is None or batch.teacher_text is None:
        return None
    units = F.normalize(batch.teacher_text, dim=-1), F.normalize(batch.teacher_image, dim=-1)
    text, image = (F.pad((unit @ unit.T).clamp(0, 1), (0, others - len(unit))) for unit in units)
    return text, image
