"""Notice that a run destroys the weights it started from, while little time is lost."""

from typing import Any

LOSS_RISE = 1.5
"""The loss has collapsed when it is more than this many times, and `MARGIN` above, that of the first step."""
MARGIN = 0.1
RSUM_DROP = 0.9
"""Validation has collapsed when rSum is below this fraction of the rSum before training."""


class CollapseWatch:
    """Compares loss and validation of a run with those of its start.

    Args:
        start: `loss` of the first step and `rsum` before training, as far as they are known. It is filled
            here and is part of the saved state, so that a resumed run is compared with the same start.
        model: spec of the weights that the run started from.
    """

    def __init__(self, start: dict[str, Any], model: str) -> None:
        self.start = start
        self.model = model
        self._losses: list[float] = []
        self._rsum: float | None = None

    def add_loss(self, loss: float) -> None:
        """Take the loss of one step; that of the first one is computed before any weight changes."""
        self.start.setdefault("loss", loss)
        self._losses.append(loss)

    def add_validation(self, rsum: float) -> None:
        """Take the latest rSum; the first one is that before training."""
        self.start.setdefault("rsum", rsum)
        self._rsum = rsum

    def warning(self, step: int, lr: float) -> str | None:
        """Compare the losses since the last call and the latest rSum with the start.

        Returns:
            What has collapsed and what to do about it, once in a run; otherwise None.
        """
        loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        first, before = self.start["loss"], self.start.get("rsum")
        if before is not None and self._rsum is not None and self._rsum < RSUM_DROP * before:
            found = f"The validation rSum fell from {before:.1f} before training to {self._rsum:.1f}"
        elif loss > max(LOSS_RISE * first, first + MARGIN):
            found = f"The loss rose from {first:.3f} in the first step to {loss:.3f}"
        else:
            return None
        if self.start.setdefault("warned_at", step) != step:
            return None
        return (
            f"{found} at step {step}: this training destroys what {self.model} has learned. Start again with "
            f"a lower --lr (now {lr:g}), with --freeze-image or --freeze-text, or with --lora 8."
        )
