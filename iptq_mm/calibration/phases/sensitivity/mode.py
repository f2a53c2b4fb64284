"""The mode that measures sensitivities: floats, and what rounding does to outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ....intmath import QParams
from ....modes.base import operand_qparams
from ....operations import Operation
from ....plan import RegionPlan
from ....qtensor import QTensor
from ...backward import Differentiating, Saved
from ...config import WIDE
from ...site_overrides import PRODUCTS
from .effects import SiteSensitivity, Sums
from .forms import WeightForm
from .rounded import RoundedWeight, RoundedWeights

#: Gives the quantizer of a value with so many bits; None: its bits are given.
ValueQuantizer = Callable[[str, int], QParams | None]


class Sensing(Differentiating):
    """Estimates what each width does to the outputs of the region, in one pass.

    All widths share the gradients: with the gradient of the weight ``G`` of one image,
    the effect of any error of the weight is the sum of ``G`` times this error, and the
    same holds for the operand that is an activation. Errors of several sites are taken
    to add up.

    Args:
        plan: Quantizers of all values.
        found: What is added to, by site.
        widths: Bits of operands to try; 16: of inputs that linear layers may take wide.
        weights: What rounding does to every weight, in each form to try; none are
            needed without draws.
        quantizer: See :data:`ValueQuantizer`.
        draws: See the base class.
        saved: See the base class.
    """

    def __init__(
        self,
        plan: RegionPlan,
        found: dict[str, SiteSensitivity],
        widths: Sequence[int],
        weights: RoundedWeights,
        quantizer: ValueQuantizer,
        draws: int = 1,
        saved: Saved | None = None,
    ) -> None:
        super().__init__(draws, saved)
        self.plan, self.channel_shifts = plan, plan.channel_shifts
        self.found, self.widths = found, widths
        self._quantizer = quantizer
        self._weights: dict[str, dict[WeightForm, RoundedWeight]] = {}
        for (name, form), rounded in weights.items():
            self._weights.setdefault(name, {})[form] = rounded

    def enter(self, name: str, value: Tensor) -> QTensor:
        """See the base class."""
        x = super().enter(name, value)
        x.qparams = self.plan.inputs[name]
        return x

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """See the base class."""
        site = self.next_site(operation)
        value = self.compute(site, operation, inputs, attributes)
        if operation.kind in PRODUCTS:
            operands = [i for i in inputs[:2] if i is not None]
            self._note(site, operation, operands, attributes, value)
        return QTensor(value, self.plan.sites[site].output, site)

    def _note(
        self,
        site: str,
        operation: Operation,
        operands: Sequence[QTensor],
        attributes: dict[str, Any],
        value: Tensor,
    ) -> None:
        """Note a call of a product; its effects follow with the gradient."""
        first, second = operands
        weight = second.source.removeprefix('parameter:')
        if operation.kind == 'matmul' or weight == second.source:
            weight = ''
        seen = self.found.setdefault(site, SiteSensitivity(operation.kind, weight))
        shapes = [
            _of_an_image(o.payload, 1 if o.constant else self.images) for o in operands
        ]
        seen.numbers = second.payload.numel() if weight else 0
        terms = second.payload[0].numel() if weight else first.payload.shape[-1]
        seen.multiplications += value.numel() * terms
        output = _of_an_image(value, self.images)
        given = [
            o.qparams.bits
            if '/softmax:' in o.source and isinstance(o.qparams, QParams)
            else 0
            for o in operands
        ]
        seen.kernel = {
            'kind': operation.kind,
            'shapes': shapes,
            'output': output,
            'attributes': {
                k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()
            },
            'given_bits': given,
            'out_bits': self.plan.sites[site].output.bits,
        }
        seen.images += self.images
        seen.draws += self.images * self.draws
        payloads = [self.kept(o.payload) for o in operands]
        quantizers = [self._quantizers(o) for o in operands]
        constant = [o.constant for o in operands]

        def use(gradient: Tensor) -> None:
            values = [payload.read() for payload in payloads]
            for rows, g in self._by_image(values, constant, gradient):
                self._effects(seen, operation, quantizers, rows, attributes, g)

        self.watch(value, use)

    def _by_image(
        self, operands: Sequence[Tensor], constant: Sequence[bool], gradient: Tensor
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Operands and gradient of each image; of all at once if rows are no images."""
        count, given = self.images, zip(operands, constant, strict=True)
        parts = [gradient, *(x for x, same in given if not same)]
        if any(len(part) % count for part in parts):
            count = 1
        each = [
            [x] * count if same else x.chunk(count)
            for x, same in zip(operands, constant, strict=True)
        ]
        for *image, g in zip(*each, gradient.chunk(count), strict=True):
            yield image, g

    @torch.no_grad()
    def _effects(
        self,
        seen: SiteSensitivity,
        operation: Operation,
        quantizers: Sequence[Mapping[int, QParams]],
        operands: Sequence[Tensor],
        attributes: dict[str, Any],
        gradient: Tensor,
    ) -> None:
        """Add the effects of all widths for one image."""
        at_first, at_second = operation.gradients(
            list(operands), attributes, gradient, [0, 1]
        )
        for bits in self.widths:
            if bits == WIDE and bits not in quantizers[0]:
                continue
            found = _effects(operands[0], at_first, quantizers[0].get(bits))
            if not seen.weight:
                other = _effects(operands[1], at_second, quantizers[1].get(bits))
                found = found[0] + other[0], found[1] + other[1]
            seen.add(seen.activation_errors, bits, found)
        channel = 1 if operation.kind == 'conv2d' else -1
        for form, rounded in self._weights.get(seen.weight, {}).items():
            effects = _of_weight(rounded, at_second, gradient, channel)
            seen.add(seen.weight_errors, form, effects)

    def _quantizers(self, x: QTensor) -> dict[int, QParams]:
        """Quantizers of an operand as it arrives, by bits."""
        found = {}
        for bits in self.widths if isinstance(x.qparams, QParams) else ():
            wanted = self._quantizer(x.source, bits)
            if wanted is not None:
                found[bits] = operand_qparams(x, wanted, self.plan)
        return found


def _effects(value: Tensor, gradient: Tensor, q: QParams | None) -> Sums:
    """The effects of rounding an operand; 0 if its bits are given."""
    if q is None:
        return 0.0, 0.0
    if q.levels is None:
        taken = torch.fake_quantize_per_tensor_affine(value, q.scale, 0, q.qmin, q.qmax)
    else:
        taken = q.dequantize(q.quantize(value))
    return _sums(taken.sub_(value), gradient)


def _of_weight(
    rounded: RoundedWeight, at_weight: Tensor, at_output: Tensor, channel: int
) -> Sums:
    """The effect of a rounded weight; its square, with output channels apart.

    Within a channel errors cancel: that is what rounding by the inputs makes them do.
    Each channel is rounded by itself.
    """
    effects = (rounded.error * at_weight).flatten(1).sum(1, dtype=torch.float64)
    if rounded.bias is not None:
        at_bias = at_output.transpose(channel, -1).flatten(0, -2).sum(0)
        effects += rounded.bias * at_bias
    return float(effects.sum()), float(effects.square().sum())


def _sums(error: Tensor, gradient: Tensor) -> Sums:
    """``g . e`` and ``g^2 . e^2``."""
    effects = error * gradient
    total = float(effects.sum(dtype=torch.float64))
    return total, float(effects.square_().sum(dtype=torch.float64))


def _of_an_image(x: Tensor, images: int) -> list[int]:
    """The shape that a batch of one image has, as far as rows belong to images."""
    rows, *rest = x.shape
    return [rows // images if rows % images == 0 else rows, *rest]
