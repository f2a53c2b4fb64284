"""The sensitivity of sites: the error at the outputs for each width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .forms import WeightForm

#: By how much the error grows at least with each bit less. Estimates on a few images
#: are noisy: fewer bits may seem to err less, and a search would choose them.
_LEAST_LOSS = 1e-3
#: What an image has of two sums, see :class:`SiteSensitivity`.
Sums = tuple[float, float]


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
        weight_errors: By form of the weight.
        activation_errors: By bits of the operands that are no weight.
        draws: Images times draws.
        images: Number of images.
    """

    operation: str
    weight: str = ''
    numbers: int = 0
    multiplications: float = 0.0
    kernel: dict[str, Any] = field(default_factory=dict)
    weight_errors: dict[WeightForm, list[float]] = field(default_factory=dict)
    activation_errors: dict[int, list[float]] = field(default_factory=dict)
    draws: int = 0
    images: int = 0

    @staticmethod
    def add(errors: dict[Any, list[float]], key: Any, effects: Sums) -> None:
        """Add what an image has of both sums to one of the two dicts.

        Args:
            errors: One of them.
            key: Bits, or the form of the weight.
            effects: ``g . e``, and the sum of the squares of its parts.
        """
        effect, spread = effects
        sums = errors.setdefault(key, [0.0, 0.0])
        sums[0] += effect**2
        sums[1] += spread

    def error(self, weight: WeightForm | None, activation: int | None) -> float:
        """Relative squared error of the outputs with these bits.

        Args:
            weight: Form of the weight; None: it has none.
            activation: Bits of the other operands; None: they have no choice.
        """
        if not self.draws:
            return 0.0
        total = 0.0
        if activation is not None:
            total += max(
                (
                    max(sums) * (1 + _LEAST_LOSS) ** (more - activation)
                    for more, sums in self.activation_errors.items()
                    if activation in self.activation_errors and more >= activation
                ),
                default=0.0,
            )
        if weight is not None:
            total += max(
                (
                    sums[1] * (1 + _LEAST_LOSS) ** steps
                    for form, sums in self.weight_errors.items()
                    if weight in self.weight_errors
                    and (steps := weight.steps_to(form)) is not None
                ),
                default=0.0,
            )
        return total / self.draws

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        errors = {str(form): sums for form, sums in self.weight_errors.items()}
        return {**asdict(self), 'weight_errors': errors}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SiteSensitivity:
        """Inverse of :meth:`to_dict`, through JSON or not."""
        given = dict(data)
        for name, read in (
            ('weight_errors', WeightForm.read),
            ('activation_errors', int),
        ):
            given[name] = {read(key): sums for key, sums in given[name].items()}
        return cls(**given)


#: By region and site.
Sensitivities = dict[str, dict[str, SiteSensitivity]]
