"""The range with the least quantization error."""

from __future__ import annotations

import torch
from torch import Tensor

from ...registry import OBSERVERS
from .base import Observer
from .samples import Samples, quantizers


@OBSERVERS.register_module('mse')
class MSEObserver(Observer):
    """Shrinks the full range by the factor that quantizes with least error.

    The search of OMSE as FQ-ViT runs it: factors 1, 0.99, ..., 0.11 of
    (minimum, maximum), on all calibration data instead of the last batch. The
    full range is a candidate, so that the error is never above min-max's.

    Args:
        steps: How many factors are tried.
        step: Difference between one factor and the next.
        norm: Exponent of the error: 2 is the mean square; larger spares
            outliers, smaller spares the bulk.

    Raises:
        ValueError: If the last factor is not positive, or the norm.
    """

    def __init__(self, steps: int = 90, step: float = 0.01, norm: float = 2.0) -> None:
        if steps < 1 or step <= 0 or (steps - 1) * step >= 1:
            raise ValueError(f'{steps} steps of {step} do not end above 0')
        if norm <= 0:
            raise ValueError(f'the norm of an error is positive, not {norm}')
        self.steps, self.step, self.norm = steps, step, norm

    def search(
        self, samples: Samples, bits: int, symmetric: bool
    ) -> tuple[Tensor, Tensor]:
        """The best of the shrunk ranges, by row; ties go to the wider."""
        low, high = samples.minimum.clamp(max=0), samples.maximum.clamp(min=0)
        if symmetric:
            high = torch.maximum(-low, high)
            low = -high
        best = torch.ones_like(high)
        least = torch.full_like(high, torch.inf)
        for i in range(self.steps):
            factor = 1 - i * self.step
            grid = quantizers(low * factor, high * factor, bits, symmetric)
            error = self.error(samples, *grid)
            better = error < least
            best[better] = factor
            least = torch.minimum(least, error)
        return low * best, high * best

    def error(
        self, samples: Samples, scale: Tensor, qmin: Tensor, qmax: Tensor
    ) -> Tensor:
        """Sum of ``|x - quantized x| ** norm`` of each row.

        Args:
            samples: The values.
            scale: By row, float64, shape (rows,).
            qmin: By row, as ``scale``.
            qmax: By row, as ``scale``.

        Returns:
            float64, shape (rows,).
        """
        # Weights stay in float32: they are many, and this runs 90 times.
        dtype = samples.lower.dtype
        scale, qmin, qmax = (t.to(dtype)[:, None] for t in (scale, qmin, qmax))
        if samples.width:
            errors = self._mean_in_bins(samples, scale, qmin, qmax)
        else:
            values = samples.values
            rounded = (values / scale).round_().clamp_(qmin, qmax).mul_(scale)
            errors = rounded.sub_(values).abs_().pow_(self.norm)
        if samples.weights is not None:
            errors = errors * samples.weights
        return errors.sum(-1, dtype=torch.float64)

    def _mean_in_bins(
        self, samples: Samples, scale: Tensor, qmin: Tensor, qmax: Tensor
    ) -> Tensor:
        """Mean error of values spread evenly over each bin.

        The error at the middle would do for 8 bits, but a step of a 16-bit
        quantizer is narrower than a bin. The integral of ``|t - round(t)|**p``
        has a closed form, clipping included.
        """
        p = self.norm

        def integral(t: Tensor) -> Tensor:
            q = t.round().clamp(qmin, qmax)
            rest = t - q
            whole = q * (0.5**p / (p + 1))
            return whole + rest.sign() * rest.abs() ** (p + 1) / (p + 1)

        a, b = samples.lower / scale, samples.upper / scale
        spread = b - a
        at_point = (a - a.round().clamp(qmin, qmax)).abs() ** p
        # Clipping to the seen range may leave a bin with no width.
        mean = (integral(b) - integral(a)) / spread.clamp(min=1e-9)
        return torch.where(spread > 1e-9, mean, at_point) * scale**p
