"""The mode of the phase measure: moments of the inputs of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...intmath import QParams
from ...intmath.product import FLOAT32_EXACT
from ...modes.base import operand_qparams
from ...moments import Moments
from ...operations import Operation
from ...patches import pair, patch_sums, patches
from ...plan import RegionPlan
from ...qtensor import QTensor
from ..backward import Differentiating, Saved
from ..sampling import drawn_rows, moment_rows, some_maps, window_strides

#: Steps of the sum of the real inputs in one step of the quantized ones: integers,
#: so that this sum, too, depends on no order, and that float32 holds up to 16 bits.
_FINE = 2**8
#: Rows whose sums of 16-bit integers are exact in float32.
_CHUNK = 2**7
#: Weight of an average row, and the largest: rows that outputs hardly depend on
#: still count for something.
_USUAL_WEIGHT, _LARGEST_WEIGHT = 16, 2**12 - 1

#: A layer with more inputs is rounded without moments, of which there are K * K.
MAX_FEATURES = 4096


class Inputs:
    """Sums over the inputs of a weight, which merge exactly.

    Attributes:
        moments: Of the quantized inputs.
        fine: Sum of the inputs before they were quantized, in steps of
            ``scale / 2**8``, exact integers in float64 on the CPU, shape (K,).
    """

    def __init__(self, features: int, scale: float) -> None:
        self.moments = Moments(features, scale)
        self.fine = torch.zeros(features, dtype=torch.float64)

    def update(self, q: Tensor, real: Tensor, weights: Tensor | None = None) -> None:
        """Take in quantized and real inputs, shape (..., K), rows by their weights."""
        self.moments.update(q, weights)
        steps = self._steps(real).flatten(0, -2)
        self.fine += _column_sums(steps, weights).cpu()

    def update_windows(
        self,
        q: Tensor,
        real: Tensor,
        shape: Sequence[int],
        attributes: Mapping[str, Any],
        weights: Tensor | None = None,
    ) -> None:
        """Take in the windows of quantized and real maps, shape (N, C, H, W).

        Args:
            q: Quantized.
            real: Real.
            shape: Of the weight.
            attributes: Of the convolution.
            weights: Of windows.
        """
        self.moments.update(patches(q, shape, **attributes), weights)
        steps = self._steps(real)
        self.fine += patch_sums(steps, weights, shape, **attributes).cpu()

    def _steps(self, real: Tensor) -> Tensor:
        return (real * (_FINE / self.moments.scale)).round_()

    def merge(self, other: Inputs) -> None:
        """Add what ``other`` saw, in place and exactly."""
        self.moments.merge(other.moments)
        self.fine += other.fine

    @property
    def real_mean(self) -> Tensor:
        """Mean of the inputs before they were quantized, float64, shape (K,)."""
        return self.fine * (self.moments.scale / _FINE / self.moments.count)


def _column_sums(steps: Tensor, weights: Tensor | None) -> Tensor:
    """Exact sums of rows of integers in float32, by their weights: float64.

    Rows are summed in chunks, in float32 where that holds the sums: their float64 would
    go through main memory.
    """
    if not len(steps):  # a head without proposals
        return torch.zeros(steps.shape[-1], dtype=torch.float64, device=steps.device)
    chunks = steps.split(_CHUNK)
    if weights is not None:
        each = zip(weights.double().split(_CHUNK), chunks, strict=True)
        sums = [w @ chunk.double() for w, chunk in each]
    else:
        low, high = torch.aminmax(steps)
        fits = max(-float(low), float(high)) * _CHUNK <= FLOAT32_EXACT
        dtype = torch.float32 if fits else torch.float64
        sums = [chunk.sum(0, dtype=dtype).double() for chunk in chunks]
    return torch.stack(sums).sum(0)


#: By name of the weight and scale of the inputs: a head may see several levels.
InputsByWeight = dict[tuple[str, float], Inputs]


class SeenInputs(NamedTuple):
    """Inputs of a weight over all its sites.

    Attributes:
        moments: Of the quantized inputs.
        mean: Of the real inputs, float64, shape (K,).
    """

    moments: Moments
    mean: Tensor


def seen_by(weight: str, inputs: InputsByWeight) -> SeenInputs | None:
    """Inputs of a weight over all its sites and scales; None if they were not measured.

    Args:
        weight: Name of the weight.
        inputs: Of all weights of its region.
    """
    parts = [i for (name, _), i in inputs.items() if name == weight and i.moments.count]
    if not parts:
        return None
    moments = parts[0].moments
    if len(parts) > 1:
        every = [part.moments for part in parts]
        moments = Moments.from_state_dict(
            {
                'scale': 1.0,
                'count': sum(m.count for m in every),
                'sum': torch.stack([m.scale * m.sum for m in every]).sum(0),
                'second': torch.stack([m.scale**2 * m.second for m in every]).sum(0),
            }
        )
    mean = torch.stack([i.real_mean * i.moments.count for i in parts]).sum(0)
    return SeenInputs(moments, mean / moments.count)


class Measuring(Differentiating):
    """Adds up moments of the *quantized* inputs of every weight.

    Guided, each row counts by the squared gradient at the output it makes: an
    error there matters as much to the outputs of the region. (The squared error
    weighted by gradients is that of GuidedQuant, Kim et al. 2025, arXiv 2505.07004,
    eq. 4, averaged over the output channels.) Weights are integers relative to the
    mean of an image, so that sums stay exact and images count alike.

    Args:
        plan: Quantizers of all values.
        inputs: What is added to.
        guided: Whether gradients weight the rows.
        saved: See the base class.
        calibrating: Images that calibrate; the more, the fewer rows of each one count.
    """

    def __init__(
        self,
        plan: RegionPlan,
        inputs: InputsByWeight,
        guided: bool = False,
        saved: Saved | None = None,
        calibrating: int = 1,
    ) -> None:
        super().__init__(int(guided), saved)
        self.plan, self._calibrating = plan, calibrating
        self.channel_shifts = plan.channel_shifts
        self.inputs = inputs

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        entered = super().enter(name, value).payload
        return QTensor(entered, self.plan.inputs[name], name)

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(site, operation, inputs, attributes)
        if operation.kind in ('linear', 'conv2d'):
            self._measure(site, inputs, attributes, value)
        return QTensor(value, self.plan.sites[site].output, site)

    @torch.no_grad()
    def _measure(
        self,
        site: str,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> None:
        x, weight = inputs[0], inputs[1]
        assert x is not None and weight is not None
        if attributes.get('groups', 1) != 1:
            return  # each output has inputs of its own: rounded without moments
        if weight.payload[0].numel() > MAX_FEATURES:
            return
        wanted, qparams = self.plan.sites[site].inputs.get(0), x.qparams
        if wanted is not None:
            qparams = operand_qparams(x, wanted, self.plan)
        assert isinstance(qparams, QParams)
        images = self.images if len(value) % self.images == 0 else 1
        shape, known = weight.payload.shape, dict(attributes)
        key = weight.source.removeprefix('parameter:'), qparams.scale
        if key not in self.inputs:
            self.inputs[key] = Inputs(shape[1:].numel(), qparams.scale)
        seen, channels = self.inputs[key], 1 if attributes else -1
        limit = moment_rows(shape[1:].numel(), self._calibrating)
        limit *= self.images // images
        every, rows, columns = 1, 1, 1
        if attributes:
            maps, positions = len(value) // images, value.shape[-2] * value.shape[-1]
            every, rows, columns = window_strides(maps, positions, limit)
            height, width = pair(attributes['stride'])
            known['stride'] = rows * height, columns * width

        def some(x: Tensor) -> Tensor:
            if attributes:
                return some_maps(x, images, every)
            return drawn_rows(x, images, limit)

        def see(real: Tensor, weights: Tensor | None = None) -> None:
            q, scale = qparams.quantize(real), qparams.scale
            # What is clipped is left out of the mean error, which biases make up for in
            # every row: massive values are clipped in a few.
            low, high = (
                qparams.qmin - 0.5,
                qparams.qmax + 0.5,
            )  # what rounds to the ends
            real = real.clamp(low * scale, high * scale)
            if attributes:
                seen.update_windows(q, real, shape, known, weights)
            else:
                seen.update(q, real, weights)

        looked_at = some(x.payload.detach())
        if not self.draws:
            see(looked_at)
            return
        kept = self.kept(looked_at)

        def update(gradient: Tensor) -> None:
            gradient = some(gradient)
            if attributes:
                gradient = gradient[..., ::rows, ::columns]
            see(kept.read(), _row_weights(gradient, channels, images))

        self.watch(value, update)


@torch.no_grad()
def _row_weights(gradient: Tensor, channels: int, images: int) -> Tensor:
    """Integers proportional to the squared gradients of an image's rows.

    Args:
        gradient: At the output of a layer.
        channels: The dimension of its channels.
        images: How many there are, each as many rows.

    Returns:
        int64, shape (rows,).
    """
    squares = gradient.double().square().sum(channels).flatten()
    squares = squares.view(images if len(squares) % images == 0 else 1, -1)
    mean = squares.mean(1, keepdim=True)
    relative = torch.where(mean > 0, squares / mean, 1.0)
    weights = (relative * _USUAL_WEIGHT).round().clamp(1, _LARGEST_WEIGHT)
    return weights.long().flatten()
