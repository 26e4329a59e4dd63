"""Several methods on one encoder, with a single contrastive loss between images and captions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel
from torch import Tensor, nn

from itr_core.batch import EncoderOutput, PairBatch
from itr_core.encoders.heads import Roles
from itr_core.methods.base import INFONCE, Method, Setup


class Combined(Method):
    """The sum of the losses of its members.

    If a member has its own contrastive loss (CODER's momentum queues, AsCL's noised captions), the InfoNCE
    terms of the others are dropped. If several members use InfoNCE, it counts once.
    """

    def __init__(self, members: Mapping[str, Method]) -> None:
        super().__init__()
        self.members = nn.ModuleDict(members)
        methods = list(members.values())
        self.needs = frozenset().union(*(method.needs for method in methods))
        self.replaces_infonce = any(method.replaces_infonce for method in methods)
        self.momentum = max(method.momentum for method in methods)
        self.weights = {
            name: weight for method in reversed(methods) for name, weight in method.weights.items()
        }
        if self.replaces_infonce:
            self.weights.pop(INFONCE, None)

    def build(self, setup: Setup) -> None:
        """Build every member."""
        for method in self._methods():
            method.build(setup)
        self.notes = tuple(note for method in self._methods() for note in method.notes)

    def prepare(self, setup: Setup) -> None:
        """Prepare every member."""
        for method in self._methods():
            method.prepare(setup)

    def forward(self, out: EncoderOutput, batch: PairBatch) -> dict[str, Tensor]:
        """Return the terms of all members that have a weight."""
        terms = {
            name: term for method in reversed(self._methods()) for name, term in method(out, batch).items()
        }
        return {name: term for name, term in terms.items() if name in self.weights}

    def positive_text(self, captions: Sequence[str], anchor: int, random: np.random.Generator) -> str:
        """Generate it by the member that needs it."""
        return self._member_needing("positive_text").positive_text(captions, anchor, random)

    def negative_text(self, caption: str, other: str, random: np.random.Generator) -> str:
        """Generate it by the member that needs it."""
        return self._member_needing("negative_text").negative_text(caption, other, random)

    def heads(self) -> dict[str, Tensor]:
        """Return the heads of every member, prefixed with its name."""
        return {
            f"{name}.{key}": value
            for name, method in zip(self.members, self._methods(), strict=True)
            for key, value in method.heads().items()
        }

    def roles(self) -> Roles:
        """Return the roles of the heads of all members."""
        roles: dict[str, Any] = {}
        for name, method in zip(self.members, self._methods(), strict=True):
            for role, settings in method.roles():
                if isinstance(settings, BaseModel):
                    own = {"prefix": f"{name}."} if hasattr(settings, "prefix") else {}
                    roles[role] = settings.model_copy(update=own)
                elif settings:
                    roles[role] = settings
        return Roles(**roles)

    def _methods(self) -> list[Method]:
        return [*self.members.values()]  # type: ignore[list-item]

    def _member_needing(self, need: str) -> Method:
        return next(method for method in self._methods() if need in method.needs)
