"""AdaRound: which of its two neighbours a weight takes is learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..registry import ROUNDINGS
from .base import Rounded
from .quadratic import Quadratic
from .second_order import SecondOrderRounding

#: Ends of the stretched sigmoid (equation 23), beyond 0 and 1, so that it gets there.
ZETA, GAMMA = 1.1, -0.1
#: First and last exponent of the regularizer, and the share of steps without it.
BETA, WARMUP = (20.0, 2.0), 0.2


@ROUNDINGS.register_module('learned')
class LearnedRounding(SecondOrderRounding):
    """Learns to round each weight down or up.

    Source: AdaRound, Nagel et al. 2020, arXiv 2004.10568, equations 21 to 24: a
    rectified sigmoid h(v) in [0, 1] stands for each decision, Adam minimises the
    error of the layer's output, and a regularizer with an annealed exponent drives
    every h to 0 or 1.

    It differs from the paper in that the error is the exact quadratic of the
    moments of all calibration inputs, not that of batches drawn from them: no
    image is kept and nothing is random. It is measured in steps of each row's
    scale with H divided by its mean diagonal, so that one strength of the
    regularizer serves all layers. The scale, and by default the neighbours, are
    those of :class:`SecondOrderRounding`, the result gets its coordinate descent,
    and a row that did not gain keeps that solution. What follows the layer (the
    paper puts a ReLU inside the error) is not seen.

    Args:
        steps: Steps of Adam.
        rate: Its learning rate.
        regularization: Strength of the regularizer.
        compensated: Whether the two neighbours are those of the weight as it
            would best be, given the rounding of all others; else, as in the
            paper, those of the weight itself.
        **second_order: Arguments of :class:`SecondOrderRounding`.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(
        self,
        steps: int = 200,
        rate: float = 0.05,
        regularization: float = 1.0,
        compensated: bool = True,
        **second_order: Any,
    ) -> None:
        super().__init__(**second_order)
        if min(steps, rate, regularization) <= 0:
            raise ValueError(
                f'steps={steps}, rate={rate} and regularization={regularization} are '
                'positive'
            )
        self.steps, self.rate = steps, rate
        self.regularization, self.compensated = regularization, compensated

    def solve(self, problem: Quadratic, scale: Tensor) -> Rounded:
        """See :meth:`~.quadratic.QuadraticRounding.solve`."""
        start = super().solve(problem, scale)
        if not problem.hessian.diagonal().any():  # nothing to learn from
            return start
        target = problem.weight / problem.steps(start.scale)
        if self.compensated:
            target = problem.best_values(start)
        lower = target.floor().clamp_(-problem.qmax, problem.qmax - 1)
        up = self._learn(problem, start.scale, lower, target - lower)
        learned = problem.improve(Rounded(lower + up, start.scale), self.sweeps)
        return problem.better(start, learned)

    def _learn(
        self, problem: Quadratic, scale: Tensor, lower: Tensor, share: Tensor
    ) -> Tensor:
        """1 for each weight that goes up from ``lower``, else 0.

        Args:
            problem: The weight and what its errors cost.
            scale: Shape (rows,).
            lower: The lower neighbours, shape (rows, K).
            share: Where h starts, clamped; the shape of ``lower``.
        """
        # float32: Adam asks for little more than the sign of the gradient. Errors
        # are compared in float64 afterwards.
        real = (problem.weight / problem.steps(scale) - lower).float()
        # In steps of the mean factor of a row.
        factors = problem.factors
        relative = 1.0 if factors is None else factors / factors.mean(1, keepdim=True)
        relative = torch.as_tensor(relative).float()
        hessian = (problem.hessian / problem.hessian.diagonal().mean()).float()
        # h starts inside, as at its ends it has no slope.
        v = torch.nn.Parameter(_inverse(share.float().clamp(0.01, 0.99)))
        adam = _adam(v, self.rate)
        for step in range(self.steps):
            h, slope = rectified_sigmoid(v)
            # Half the slope of (h - real)^T H (h - real) + regularizer.
            gradient = (((h - real) * relative) @ hessian) * relative
            progress = (step / self.steps - WARMUP) / (1 - WARMUP)
            if progress >= 0:
                beta = BETA[0] + (BETA[1] - BETA[0]) * progress
                gradient += 0.5 * self.regularization * regularizer_slope(h, beta)
            v.grad = gradient * slope
            adam.step()
        return (rectified_sigmoid(v)[0] >= 0.5).double()


def rectified_sigmoid(v: Tensor) -> tuple[Tensor, Tensor]:
    """``h(v) = clamp(sigmoid(v) (ZETA - GAMMA) + GAMMA, 0, 1)`` and its slope."""
    sigmoid = v.sigmoid()
    h = sigmoid * (ZETA - GAMMA) + GAMMA
    slope = sigmoid * (1 - sigmoid) * (ZETA - GAMMA)
    return h.clamp(0, 1), slope * ((h > 0) & (h < 1))


def _inverse(h: Tensor) -> Tensor:
    """The v of ``rectified_sigmoid(v) = h``, for h between 0 and 1."""
    return ((h - GAMMA) / (ZETA - GAMMA)).logit()


def regularizer_slope(h: Tensor, beta: float) -> Tensor:
    """Derivative of ``1 - |2 h - 1| ** beta``."""
    distance = 2 * h - 1
    return -2 * beta * distance.abs().pow(beta - 1) * distance.sign()


def _adam(v: Tensor, rate: float) -> torch.optim.Adam:
    """The quickest Adam there is for a tensor: torch 2.4 has a fused one for CPUs."""
    try:
        return torch.optim.Adam([v], lr=rate, fused=True)
    except RuntimeError:
        return torch.optim.Adam([v], lr=rate, foreach=False)
