"""What a checkpoint has beside its two towers, and which of it takes part in retrieval.

`heads.safetensors` contains the weights that a method trained beside the towers. Its metadata `roles` says
what they do in retrieval (`Roles`); a file without it is not read.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from safetensors import safe_open
from torch import Tensor, nn

from itr_core.encoders.concept_branch import ConceptBranch
from itr_core.encoders.encoder import Floats
from itr_core.encoders.foreign_json import MAX_CONFIG_BYTES, Foreign, validate
from itr_core.errors import ModelError
from itr_core.vocabulary import stem, words_named

HEADS_FILE = "heads.safetensors"
ROLES_KEY = "roles"
DEFAULT_U1 = 0.8
"""Weight of the local similarity in re-ranking, as in AsCL, for models that were trained without it."""


class ConceptRole(Foreign):
    """Descriptors of images and texts as mixtures of concepts (CODER), by a `ConceptBranch`."""

    prefix: str = ""
    """Beginning of the names of the tensors; in a combination of methods, `METHOD.`"""
    names: Annotated[list[str], Field(min_length=1)]
    """The K concepts, one word each."""


class LocalRole(Foreign):
    """The similarity u1 S_local + (1 - u1) cosine (AsCL); see `itr_core.encoders.token_similarity`."""

    u1: Annotated[float, Field(ge=0, le=1)]
    """Weight of S_local."""
    attention_heads: Annotated[int, Field(ge=1, le=1_024)] = 1
    """Attention heads of S_local."""


class UniModalRole(Foreign):
    """Spaces for image-image and for text-text search (CUSA)."""

    prefix: str = ""
    """Beginning of the names of the tensors; in a combination of methods, `METHOD.`"""


class Roles(Foreign):
    """What the heads do in retrieval; None for a role that no head has."""

    concepts: ConceptRole | None = None
    local: LocalRole | None = None
    uni_modal: UniModalRole | None = None
    extra_weight: Annotated[float, Field(ge=0, le=1_000)] = 0.0
    """w, weight of the similarity of the extra embeddings. 0: they take no part."""


class ConceptEmbeddings:
    """Extra embeddings: the descriptors of images and texts by the concepts of a `ConceptBranch`."""

    def __init__(self, tensors: Mapping[str, Tensor], role: ConceptRole) -> None:
        prefix = f"{role.prefix}concepts."
        weights = {name.removeprefix(prefix): w for name, w in tensors.items() if name.startswith(prefix)}
        self._columns = {stem(name): column for column, name in enumerate(role.names)}
        self.dim = weights["nodes"].shape[1]
        self._branch = ConceptBranch(self.dim, np.eye(len(self._columns), dtype=np.float32))
        self._branch.load_state_dict(weights)
        self._branch.eval()
        with torch.inference_mode():  # once: the graph takes longer than a query
            self._related = self._branch.related()
            self._concepts = self._branch.concept(self._related)

    def images(self, embeddings: Floats) -> Floats:
        """Describe embeddings of images (n, d), unit vectors: (n, d) unit vectors."""
        with torch.inference_mode():
            rows = torch.from_numpy(embeddings)
            return self._branch.describe_images(self._related, self._concepts, rows).numpy()

    def texts(self, embeddings: Floats, texts: Sequence[str]) -> Floats:
        """Describe embeddings (m, d) of m texts, unit vectors: (m, d) unit vectors."""
        named = torch.from_numpy(words_named(self._columns, texts)).float()
        with torch.inference_mode():
            rows = torch.from_numpy(embeddings)
            return self._branch.describe_texts(self._related, self._concepts, rows, named).numpy()


class UniModalSpaces:
    """Embeddings for search within a modality: LayerNorm and Linear on those of the towers."""

    def __init__(self, tensors: Mapping[str, Tensor], role: UniModalRole) -> None:
        self.dim = len(tensors[f"{role.prefix}image_head.0.weight"])
        self._heads = {}
        for modality in ("image", "text"):
            prefix = f"{role.prefix}{modality}_head."
            head = nn.Sequential(nn.LayerNorm(self.dim), nn.Linear(self.dim, self.dim))
            head.load_state_dict(
                {name.removeprefix(prefix): w for name, w in tensors.items() if name.startswith(prefix)}
            )
            self._heads[modality] = head.eval()

    def images(self, embeddings: Floats) -> Floats:
        """Map embeddings of images (n, D), unit vectors of `encode_images`, to (n, d) unit vectors."""
        return self._map("image", embeddings)

    def texts(self, embeddings: Floats) -> Floats:
        """Map embeddings of texts (m, D), unit vectors of `encode_texts`, to (m, d) unit vectors."""
        return self._map("text", embeddings)

    def _map(self, modality: str, embeddings: Floats) -> Floats:
        # LayerNorm ignores the length of a vector but for its epsilon, so rows get the length it expects.
        rows = torch.from_numpy(first_part(embeddings, self.dim) * np.float32(self.dim**0.5))
        with torch.inference_mode():
            return nn.functional.normalize(self._heads[modality](rows), dim=-1).numpy()


@dataclass(frozen=True)
class Heads:
    """The heads of a checkpoint, in float32 on the CPU; by default none."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    roles: Roles = field(default_factory=Roles)

    @classmethod
    def read(cls, path: Path, dim: int) -> "Heads":
        """Read a file of heads; without roles, nothing is read.

        Args:
            path: a file that `itr_core.encoders.checkpoints.save` wrote.
            dim: number of dimensions of the embeddings of the towers.

        Raises:
            ModelError: The heads do not fit their roles or the towers.
        """
        with safe_open(path, "pt") as file:
            roles = (file.metadata() or {}).get(ROLES_KEY)
            if roles is None:
                return cls()
            if len(roles) > MAX_CONFIG_BYTES:
                raise ModelError(f"{path} has {len(roles):,} bytes of roles; at most {MAX_CONFIG_BYTES:,}.")
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 -- no dict
        heads = cls(tensors, validate(Roles, json.loads(roles), path))
        try:
            parts = [heads.extra, heads.uni_modal]
        except (RuntimeError, KeyError, IndexError) as error:
            raise ModelError(f"{path} is damaged: its tensors do not fit its roles ({error}).") from error
        for part in parts:
            if part is not None and part.dim != dim:
                raise ModelError(f"{path} is of another model: {part.dim} dimensions, the towers have {dim}.")
        local = heads.roles.local
        if local is not None and dim % local.attention_heads:
            raise ModelError(f"{path} is of another model: {local.attention_heads} heads, {dim} dimensions.")
        return heads

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the file: the roles, if there are any."""
        roles = self.roles.model_dump_json(exclude_defaults=True)
        return {} if roles == "{}" else {ROLES_KEY: roles}

    @cached_property
    def extra(self) -> ConceptEmbeddings | None:
        """The embeddings that the towers do not make, or None."""
        return ConceptEmbeddings(self.tensors, self.roles.concepts) if self.roles.concepts else None

    @cached_property
    def uni_modal(self) -> UniModalSpaces | None:
        """The spaces for search within a modality, or None."""
        return UniModalSpaces(self.tensors, self.roles.uni_modal) if self.roles.uni_modal else None

    def local(self, u1: float | None = None) -> LocalRole:
        """Return how the local similarity takes part in re-ranking.

        Args:
            u1: its weight, in [0, 1]. Default: that of the training, or `DEFAULT_U1` for models that were
                trained without it.

        Raises:
            ModelError: `u1` is out of range.
        """
        if u1 is not None and not 0 <= u1 <= 1:
            raise ModelError(f"u1={u1}: the weight of the local similarity must be from 0 to 1.")
        trained = self.roles.local or LocalRole(u1=DEFAULT_U1)
        return trained if u1 is None else trained.model_copy(update={"u1": u1})

    def with_extra_weight(self, weight: float) -> "Heads":
        """Return the same heads with another weight of the extra embeddings."""
        return replace(self, roles=self.roles.model_copy(update={"extra_weight": weight}))

    def extend_images(self, embeddings: Floats) -> Floats:
        """Add the extra embeddings to those of images, (n, d) -> (n, d + d'); see `weighted_pair`."""
        if self.extra is None or not self.roles.extra_weight:
            return embeddings
        return weighted_pair(embeddings, self.extra.images(embeddings), self.roles.extra_weight)

    def extend_texts(self, embeddings: Floats, texts: Sequence[str]) -> Floats:
        """Add the extra embeddings to those of texts, (m, d) -> (m, d + d'); see `weighted_pair`."""
        if self.extra is None or not self.roles.extra_weight:
            return embeddings
        return weighted_pair(embeddings, self.extra.texts(embeddings, texts), self.roles.extra_weight)

    def extended_dim(self, dim: int) -> int:
        """Return the number of dimensions of extended embeddings."""
        return dim if self.extra is None or not self.roles.extra_weight else dim + self.extra.dim

    def digest(self) -> bytes:
        """Return a digest of what changes the embeddings; empty if nothing does."""
        if not self.roles.extra_weight:
            return b""
        digest = hashlib.sha256(self.roles.model_dump_json().encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        return digest.digest()


def weighted_pair(first: Floats, second: Floats, weight: float) -> Floats:
    """Concatenate unit vectors so that their cosine is a weighted mean of two cosines.

    With weight w, x = [a, sqrt(w) e] / sqrt(1 + w) has norm 1, and

        x_i . x_j = (a_i . a_j + w e_i . e_j) / (1 + w)

    so an index, a map or a measure of single vectors needs to know nothing of the two parts.

    Args:
        first: a, (n, d) unit vectors.
        second: e, (n, d') unit vectors.
        weight: w, >= 0.

    Returns:
        (n, d + d') float32 of unit norm.
    """
    both = np.concatenate([first, np.float32(weight**0.5) * second], axis=1)
    return (both / np.float32((1 + weight) ** 0.5)).astype(np.float32)


def heads_of(encoder: object) -> Heads:
    """Return the heads of an encoder; none for encoders of other classes than `DualEncoder`."""
    heads = getattr(encoder, "heads", None)
    return heads if isinstance(heads, Heads) else Heads()


def first_part(embeddings: Floats, dim: int) -> Floats:
    """Return a of `weighted_pair`: the embeddings of the towers, (n, dim) unit vectors."""
    first = embeddings[:, :dim]
    return first if embeddings.shape[1] == dim else first / np.linalg.norm(first, axis=1, keepdims=True)
