"""The sensitivity of sites: the error at the outputs for each width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: By how much the error grows at least with each bit less. Estimates on a few images
#: are noisy: fewer bits may seem to err less, and a search would choose them.
_LEAST_LOSS = 1e-3


@dataclass
class SiteSensitivity:
    """What a product does to the outputs of its region with few bits.

    With the error ``e`` that rounding to so many bits makes and the gradient ``g`` of
    the region's outputs (:class:`~iptq_mm.calibration.backward.Differentiating`),
    there are two sums over images and draws: ``(g . e)^2``, in which errors add up or
    cancel, and the same with parts of ``g . e`` squared one by one, which takes them as
    uncorrelated and is hardly noisy: the numbers of an activation, the output channels
    of a weight. Over :attr:`draws`, both are relative squared errors of the outputs, to
    first order. Of activations the larger one counts, as in the criterion
    ``output_error``; of weights the second one, since each channel is rounded by
    itself.

    Attributes:
        operation: Kind of the operation.
        weight: Name of the weight; ``''``: it has none.
        numbers: Numbers in the weight.
        multiplications: Of one image, in the mean.
        kernel: What decides about the time of its kernel, for one image: ``kind``,
            ``shapes`` of the operands, ``output`` (its shape), ``attributes``,
            ``given_bits`` of operands whose bits are no choice (else 0), ``out_bits``.
        weight_errors: By bits of the weight.
        activation_errors: By bits of the operands that are no weight.
        draws: Images times draws.
        images: Number of images.
    """

    operation: str
    weight: str = ''
    numbers: int = 0
    multiplications: float = 0.0
    kernel: dict[str, Any] = field(default_factory=dict)
    weight_errors: dict[int, list[float]] = field(default_factory=dict)
    activation_errors: dict[int, list[float]] = field(default_factory=dict)
    draws: int = 0
    images: int = 0

    def add(
        self, errors: dict[int, list[float]], bits: int, effect: float, spread: float
    ) -> None:
        """Add what an image has of both sums to one of the two dicts.

        Args:
            errors: One of them.
            bits: The width.
            effect: ``g . e``.
            spread: The sum of the squares of its parts.
        """
        sums = errors.setdefault(bits, [0.0, 0.0])
        sums[0] += effect**2
        sums[1] += spread

    def error(self, weight: int | None, activation: int | None) -> float:
        """Relative squared error of the outputs with these bits.

        Args:
            weight: Bits of the weight; None: it has none.
            activation: Bits of the other operands; None: they have no choice.
        """
        if not self.draws:
            return 0.0
        total = 0.0
        if activation is not None:
            found = self.activation_errors.items()
            total += _at(activation, {bits: max(sums) for bits, sums in found})
        if weight is not None:
            errors = {bits: sums[1] for bits, sums in self.weight_errors.items()}
            total += _at(weight, errors)
        return total / self.draws

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SiteSensitivity:
        """Inverse of :meth:`to_dict`, through JSON or not."""
        given = dict(data)
        for name in ('weight_errors', 'activation_errors'):
            given[name] = {int(bits): e for bits, e in given[name].items()}
        return cls(**given)


#: By region and site.
Sensitivities = dict[str, dict[str, SiteSensitivity]]


def _at(bits: int, errors: dict[int, float]) -> float:
    """The error at so many bits, more than with any more of them; 0 if not known."""
    if bits not in errors:
        return 0.0
    return max(
        error * (1 + _LEAST_LOSS) ** (more - bits)
        for more, error in errors.items()
        if more >= bits
    )
