"""The device that a model runs on."""

import torch

from itr_core.errors import ModelError


def pick_device(name: str | None) -> torch.device:
    """Return a device that can be used here.

    Args:
        name: 'cpu', 'cuda', 'cuda:N' or 'mps'; 'auto' or None is the best that is available.

    Raises:
        ModelError: The device does not exist here.
    """
    if name in (None, "auto"):
        best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(best)
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"Device {name!r} cannot be used here ({error}); try 'auto' or 'cpu'.") from error
    return device
