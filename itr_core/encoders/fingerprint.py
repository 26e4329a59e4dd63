"""The fingerprint of a model: a gallery answers only the model whose fingerprint it records."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from itr_core.encoders.heads import Heads


def fingerprint_of(config: Mapping[str, Any], weights: Mapping[str, Any], heads: Heads) -> str:
    """Return the hex SHA-256 digest of a configuration, of weights and of the heads that are used."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    digest.update(heads.digest())
    return digest.hexdigest()
