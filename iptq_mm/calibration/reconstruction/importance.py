"""How much errors of what a part returns matter to the outputs of its region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Positions whose gradients have so many times the median power form a group.
_MARKED = 4.0
#: Share of the identity in a matrix of many gradients.
_LEAST_SHRUNK = 1e-3
#: Larger matrices than of so many channels are not worth their memory.
_MOST_CHANNELS = 4096


@dataclass(frozen=True)
class Metric:
    """A quadratic form of rows of channels: what an error costs.

    Attributes:
        roots: By group, a matrix ``L`` of the form ``L L^T``, shape (channels,
            channels).
        marked: Which positions are in the second group, shape (positions,); None:
            there is one group.
    """

    roots: Sequence[Tensor]
    marked: Tensor | None = None

    def __call__(self, rows: Tensor) -> Tensor:
        """The form, summed over all rows.

        Args:
            rows: Shape (images, ..., channels); every place between is a position.
        """
        rows = _by_position(rows)
        marked = self.marked
        if marked is None or len(marked) != rows.shape[1]:
            return (rows @ self.roots[0]).square().sum()
        groups = zip(self.roots, (~marked, marked), strict=True)
        found = [(rows[:, which] @ root).square().sum() for root, which in groups]
        return torch.stack(found).sum()


def plain(rows: Tensor) -> Tensor:
    """The form without any importance: the sum of squares."""
    return rows.square().sum()


class Importance:
    """Second moments of the gradients at an output of a part.

    With the gradient ``g = J^T v`` of random signs ``v`` at the outputs of the region,
    an error ``e`` of a row costs ``E[(g . e)^2] = e^T E[g g^T] e`` there. The matrix
    knows directions, not only channels: what later layers do not look at costs nothing.
    Positions that count far more than most (class tokens) have a matrix of their own.

    Source: the Fisher information of block outputs as in BRECQ (arXiv 2102.05426),
    whole instead of its diagonal as in FIMA-Q (arXiv 2506.11543).

    Args:
        marked: Positions with a matrix of their own, see :func:`outstanding`.
    """

    def __init__(self, marked: Tensor | None = None) -> None:
        self.marked = marked
        self.rows = [0, 0]
        self.moments: list[Tensor] = []
        #: Sum of squares by position, images and channels; None: their number varies.
        self.by_position: Tensor | None = None
        self._usable = True

    @property
    def usable(self) -> bool:
        """Whether all gradients had the same, not too many channels."""
        return self._usable and bool(self.moments)

    @torch.no_grad()
    def add(self, gradient: Tensor) -> None:
        """Add the gradient of a batch, shape (images, ..., channels)."""
        rows = _by_position(gradient.detach()) if gradient.dim() > 1 else None
        if rows is None or rows.shape[-1] > _MOST_CHANNELS:
            self._usable = False
            return
        images, positions, channels = rows.shape
        if not self.moments:
            zeros = torch.zeros(channels, channels, dtype=torch.float64)
            self.moments = [zeros, zeros.clone()]
            self.by_position = torch.zeros(positions, dtype=torch.float64)
        if len(self.moments[0]) != channels:
            self._usable = False
            return
        marked = self.marked
        if marked is None or len(marked) != positions:
            marked = torch.zeros(positions, dtype=torch.bool)
        for group, which in enumerate((~marked, marked)):
            chosen = rows[:, which.to(rows.device)].flatten(0, 1)
            self.moments[group] += (chosen.T @ chosen).double().cpu()
            self.rows[group] += len(chosen)
        power = self.by_position
        if power is not None:
            squares = rows.square().sum((0, 2)).double().cpu()
            self.by_position = power + squares if len(power) == positions else None

    def metric(self) -> Metric | None:
        """What errors cost, 1 for the mean of all elements; None: nothing is known."""
        if not self.usable:
            return None
        channels = len(self.moments[0])
        power = sum(float(m.diagonal().sum()) for m in self.moments)
        if not power > 0:
            return None
        mean = power / (sum(self.rows) * channels)
        roots = [
            _root(moments / max(rows, 1) / mean, rows)
            for moments, rows in zip(self.moments, self.rows, strict=True)
        ]
        return Metric(roots, self.marked) if self.rows[1] else Metric(roots[:1])


def outstanding(power: Tensor | None) -> Tensor | None:
    """Positions that count far more than most, shape (positions,); None: there is none.

    Args:
        power: Mean square of the gradients by position.
    """
    if power is None:
        return None
    marked = power > _MARKED * power.median()
    return marked if marked.any() else None


def _by_position(rows: Tensor) -> Tensor:
    """Shape (images, positions, channels)."""
    return rows[:, None] if rows.dim() == 2 else rows.flatten(1, -2)


def _root(moments: Tensor, rows: int) -> Tensor:
    """A root of a mean of ``g g^T``, with a share of the identity.

    Of few rows, the matrix would say that most directions cost nothing.
    """
    channels = len(moments)
    share = max(_LEAST_SHRUNK, channels / (channels + rows) if rows else 1.0)
    size = moments.diagonal().mean()
    identity = torch.eye(channels, dtype=moments.dtype)
    values, vectors = torch.linalg.eigh(moments * (1 - share) + share * size * identity)
    return (vectors * values.clamp_min(0.0).sqrt()).float()
