"""Outputs of a frozen text tower, kept by text: training on a frozen tower encodes every caption once.

The transformer of a text tower takes most of the time of a step on cached image features. While it is frozen
and in evaluation mode, its output for a caption is the same in every epoch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

LIMIT = 1_000_000_000
"""Bytes of outputs that are kept. Later texts are encoded each time."""


class FrozenOutputs:
    """Maps token ids to the outputs of a frozen network, and computes each only once.

    Args:
        encode: maps token ids (B, L) to outputs (B, f).
        pad_id: id of the padding after each text, which does not change its output.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], pad_id: int) -> None:
        self._encode, self._pad_id = encode, pad_id
        self._kept: dict[bytes, Tensor] = {}

    def __call__(self, ids: Tensor) -> Tensor:
        """Map token ids (B, L) to outputs (B, f), without gradients."""
        rows = ids.cpu().numpy()
        keys = [row[row != self._pad_id].tobytes() for row in rows]
        new = {key: index for index, key in enumerate(keys) if key not in self._kept}
        computed: dict[bytes, Tensor] = {}
        if new:
            # Validation encodes in inference mode, whose tensors no later step of training could use.
            with torch.inference_mode(False), torch.no_grad():
                outputs = self._encode(ids[list(new.values())]).float()
            computed = dict(zip(new, outputs, strict=True))
            if (len(self._kept) + len(new)) * outputs[0].nbytes <= LIMIT:
                self._kept |= computed
        return torch.stack([computed[key] if key in computed else self._kept[key] for key in keys])
