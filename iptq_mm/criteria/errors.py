"""The errors of one candidate function at one site, as sums over the images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..utils.exact_sum import ExactSum
from .powers import Powers, average_sqnr, by_image, check_shapes, power_decibels

#: Figures of one output element, which do not add up.
_BY_ELEMENT = ('cost', 'nanoseconds')
#: Sums of floats.
_SUMS = (
    'signal',
    'error',
    'ratio',
    'input_signal',
    'input_error',
    'input_ratio',
    'output_error',
    'weighted_error',
)
#: Whole numbers, which add up.
_COUNTS = ('elements', 'images', 'draws')


@dataclass
class CandidateErrors:
    """Sums over the calibration set; they add up over batches and ranks.

    Sums are exact, and rounded when they are read: they do not depend on the order of
    the images, nor on how these are divided among batches and ranks.

    Attributes:
        signal: Sum of squares of the float outputs.
        error: Sum of squared differences of the candidate's outputs.
        elements: Number of output elements.
        images: Number of images.
        ratio: Sum over images of ``E[x^2] / E[(x - q)^2]`` of the outputs. An
            image without signal adds nothing.
        input_signal: As ``signal``, for the input of the site.
        input_error: As ``error``, for the site's input quantized as the plan has it
            before a function narrows it: the same for all candidates of a site.
        input_ratio: As ``ratio``, for the input.
        cost: Weighted operations for one output element.
        nanoseconds: Measured time of the native kernel for one output element; 0
            if it was not measured.
        draws: Gradients that the next two looked at: images times draws; 0 if
            the analysis ran without gradients.
        output_error: Sum over these of ``(g . e)^2``, with the error ``e`` of
            the outputs and the gradient ``g`` of the region's outputs, see
            :class:`~iptq_mm.calibration.backward.Differentiating`.
        weighted_error: Sum over these of ``g^2 . e^2``: the same if the errors
            of an image had nothing to do with each other.
    """

    signal: float = 0.0
    error: float = 0.0
    elements: int = 0
    images: int = 0
    ratio: float = 0.0
    input_signal: float = 0.0
    input_error: float = 0.0
    input_ratio: float = 0.0
    cost: float = 0.0
    draws: int = 0
    output_error: float = 0.0
    weighted_error: float = 0.0
    nanoseconds: float = 0.0
    #: The sums without rounding, by name.
    _exact: dict[str, ExactSum] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @torch.no_grad()
    def add_batch(
        self,
        x: Tensor,
        q: Tensor,
        x_in: Tensor,
        q_in: Tensor,
        images: int,
        elements: int | None = None,
    ) -> None:
        """Add the errors of a batch.

        Args:
            x: Float outputs, any shape whose first dimensions run over images
                first (windows of Swin do).
            q: Outputs of the candidate, as real values, the shape of ``x``.
            x_in: Float inputs of the site.
            q_in: Its inputs as they arrive quantized, before the candidate
                narrows them, as real values, the shape of ``x_in``.
            images: Images in the batch.
            elements: Output elements of the batch that these were sampled from;
                sums are scaled up to them. None: these are all.

        Raises:
            ValueError: If shapes differ, or do not divide into images.
        """
        output, entered = by_image(x, q, images), by_image(x_in, q_in, images)
        self.add_powers(output, entered, x.numel(), elements)

    def add_powers(
        self, output: Powers, entered: Powers, seen: int, elements: int | None = None
    ) -> None:
        """Add the errors of a batch, as powers by image.

        Args:
            output: Of the outputs.
            entered: Of the inputs.
            seen: How many output elements there are.
            elements: As in :meth:`add_batch`.
        """
        elements = seen if elements is None else elements
        share = elements / seen
        self._add('signal', output.signal * share)
        self._add('error', output.error * share)
        self._add('ratio', output.ratio)
        self._add('input_signal', entered.signal * share)
        self._add('input_error', entered.error * share)
        self._add('input_ratio', entered.ratio)
        self.elements += elements
        self.images += len(output.signal)

    @torch.no_grad()
    def add_gradients(
        self,
        error: Tensor,
        gradients: Sequence[Tensor],
        images: int,
        elements: int | None = None,
    ) -> None:
        """Add the effect of a batch's errors on the region's outputs.

        Args:
            error: Outputs of the candidate minus the float ones, as in
                :meth:`add_batch`.
            gradients: Of the region's outputs, by draw, the shape of ``error``.
            images: Images in the batch.
            elements: Output elements that these were sampled from. Sums over
                them are scaled up, hence their squares by the square.

        Raises:
            ValueError: If shapes differ, or do not divide into images.
        """
        share = 1.0 if elements is None else elements / error.numel()
        for gradient in gradients:
            check_shapes(error, gradient, images)
            effects = (error * gradient).reshape(images, -1)
            systematic = effects.sum(1).double().square()
            uncorrelated = effects.square_().sum(1).double()
            self._add('output_error', systematic * share**2)
            self._add('weighted_error', uncorrelated * share)
            self.draws += images

    def _add(self, name: str, values: Tensor) -> None:
        """Add the values of images to a sum."""
        total = self._sum(name)
        for value in values.tolist():
            total.add(value)
        setattr(self, name, float(total))

    def _sum(self, name: str) -> ExactSum:
        """A sum without rounding, or what it was set to since."""
        total, known = self._exact.get(name), getattr(self, name)
        if total is None or float(total) != known:
            total = self._exact[name] = ExactSum(known)
        return total

    def merge(self, other: CandidateErrors) -> None:
        """Add the sums of ``other``, of the same candidate, in place.

        Costs differ only where work once a row is shared among rows of other
        lengths (images of other sizes): then they are averaged over elements.
        """
        elements = self.elements + other.elements
        for name in _BY_ELEMENT:
            total = self._weighted(name)
            total.merge(other._weighted(name))
            if elements:
                setattr(self, name, total.over(elements))
            self._exact[name] = total
        for name in _SUMS:
            total = self._sum(name)
            total.merge(other._sum(name))
            setattr(self, name, float(total))
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _weighted(self, name: str) -> ExactSum:
        """A figure of an element times the elements, without rounding."""
        total, known = self._exact.get(name), getattr(self, name)
        if total is None or not self.elements or total.over(self.elements) != known:
            total = ExactSum()
            total.add_product(known, self.elements)
        return total

    @property
    def sqnr_db(self) -> float:
        """``10 log10(signal / error)`` of the outputs, in dB of power."""
        return power_decibels(self.signal, self.error)

    @property
    def input_sqnr_db(self) -> float:
        """:attr:`sqnr_db` of the inputs."""
        return power_decibels(self.input_signal, self.input_error)

    @property
    def asqnr(self) -> float:
        """``20 log10(mean ratio)`` of the outputs; NaN without images.

        Literally the ASQNR of "Mixed Non-linear Quantization for Vision
        Transformers": of a ratio of powers, 20 log10 is twice the dB, and the
        mean before the logarithm lets the best image decide.
        """
        return average_sqnr(self.ratio, self.images)

    @property
    def input_asqnr(self) -> float:
        """:attr:`asqnr` of the inputs."""
        return average_sqnr(self.input_ratio, self.images)

    @property
    def perturbation(self) -> float:
        """``||x - q||^2``, summed over an image's outputs, mean over images."""
        return self.error / self.images if self.images else math.nan

    @property
    def mean_perturbation(self) -> float:
        """Mean squared difference of an output element."""
        return self.error / self.elements if self.elements else math.nan

    @property
    def relative_output_error(self) -> float:
        """Relative squared error of the region's outputs, to first order.

        Signs of errors count; NaN without gradients.
        """
        return self.output_error / self.draws if self.draws else math.nan

    @property
    def relative_weighted_error(self) -> float:
        """:attr:`relative_output_error` of errors taken as uncorrelated."""
        return self.weighted_error / self.draws if self.draws else math.nan

    @property
    def total_cost(self) -> float:
        """Weighted operations of the site for one image."""
        return self.total_cost_in('operations')

    def total_cost_in(self, unit: str) -> float:
        """The cost of the site for one image; see :meth:`cost_in`."""
        if not self.images:
            return math.nan
        return self.cost_in(unit) * self.elements / self.images

    def cost_in(self, unit: str) -> float:
        """The cost of one output element.

        Args:
            unit: ``operations`` or ``nanoseconds``.

        Returns:
            The cost; NaN for nanoseconds that were not measured.
        """
        if unit == 'operations':
            return self.cost
        return self.nanoseconds or math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for the record."""
        return {name: getattr(self, name) for name in _names()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CandidateErrors:
        """Inverse of :meth:`to_dict`; records of version 0.2 have no nanoseconds.

        Raises:
            ValueError: If figures are missing or unknown (of another version).
        """
        known = set(_names())
        if data.keys() | {'nanoseconds'} != known:
            raise ValueError('errors of candidates as another version kept them')
        return cls(**data)


def _names() -> list[str]:
    """The figures, in their order."""
    return [f.name for f in fields(CandidateErrors) if f.init]
