"""The choices of a search: what each site may have, with its costs and its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...calibration import ConfigError
from ...calibration.config import WIDE
from ...calibration.phases.sensitivity.effects import Sensitivities, SiteSensitivity
from ...calibration.phases.sensitivity.forms import WeightForm, weight_forms
from ...criteria import CandidateErrors
from ...intmath.weight_codes import factor_bits, most_factor
from .costs import CostTable

#: Bits of an operand without a choice.
PIXEL_BITS = 8
#: What budgets are set on, and what an objective may be.
COSTS = ('loss', 'bytes', 'ms')


@dataclass(frozen=True)
class Choice:
    """One setting of a unit.

    Attributes:
        weight: Bits of the weight; None: there is none.
        activation: Bits of the operands of a product; None: they have no choice, or it
            is no product.
        function: Name of the function of a non-linear site; ``''``: it is none.
        loss: Relative squared error of the outputs, to first order.
        bytes: Of the weight.
        ms: Milliseconds of the native kernels for one image.
        bit_operations: Multiplications times the bits of both operands.
        group: Inputs of the weight that share a factor; None: it bears no factors.
        own: Whether the group is that of the config.
    """

    weight: int | None = None
    activation: int | None = None
    function: str = ''
    loss: float = 0.0
    bytes: float = 0.0
    ms: float = 0.0
    bit_operations: float = 0.0
    group: int | None = None
    own: bool = True

    def cost(self, name: str) -> float:
        """One of :data:`COSTS`."""
        return float(getattr(self, name))

    @property
    def override(self) -> dict[str, Any]:
        """What an override of a config says of it, without ``where``."""
        said: dict[str, Any] = {}
        if self.weight is not None:
            said['weight'] = dict(bits=self.weight)
            if self.group is not None:
                said['weight']['group'] = self.group
        if self.activation is not None:
            said['activation'] = dict(bits=self.activation)
        if self.function:
            said['function'] = self.function
        return said


@dataclass
class Unit:
    """Sites that have one choice together: those that share a weight.

    Attributes:
        sites: Names, after the region's: ``backbone.layers.0.attn.qkv/linear:0``.
        choices: What they may have.
    """

    sites: list[str]
    choices: list[Choice] = field(default_factory=list)


def product_units(
    found: Sensitivities,
    table: CostTable,
    weights: Sequence[int],
    activations: Sequence[int],
    group: int = 0,
    groups: Sequence[int] = (),
) -> list[Unit]:
    """The units of all products.

    Args:
        found: Sensitivities, by region and site.
        table: Times of kernels.
        weights: Bits that weights may have.
        activations: Bits that operands may have.
        group: ``weight.group`` of the config: inputs that share a factor.
        groups: Other sizes of groups that weights may have.

    Raises:
        ConfigError: If a width was not tried, or the table lacks a kernel.
    """
    together: dict[str, list[tuple[str, SiteSensitivity]]] = {}
    for region, sites in found.items():
        for site, seen in sites.items():
            name = f'{region}.{site}' if not site.startswith('/') else region + site
            shared = f'{region} {seen.weight}' if seen.weight else name
            together.setdefault(shared, []).append((name, seen))
    plain = weight_forms(weights, [group])
    forms = weight_forms(weights, [group, *groups])
    units = []
    for members in together.values():
        unit = Unit([name for name, _ in members])
        has_weight = bool(members[0][1].weight)
        operands = _activations(members, activations)
        for form in forms if has_weight else [None]:
            own = form is None or form in plain
            for activation in operands:
                unit.choices.append(_choice(members, table, form, activation, own))
        units.append(unit)
    return units


def _activations(
    members: Sequence[tuple[str, SiteSensitivity]], activations: Sequence[int]
) -> Sequence[int | None]:
    """The bits that operands may have; pixels have no choice, few may be wide."""
    errors = (sums for _, seen in members for sums in seen.activation_errors.values())
    if not any(map(any, errors)):
        return [None]
    wide = all(WIDE in seen.activation_errors for _, seen in members)
    return [bits for bits in activations if bits != WIDE or wide]


def _choice(
    members: Sequence[tuple[str, SiteSensitivity]],
    table: CostTable,
    form: WeightForm | None,
    activation: int | None,
    own: bool,
) -> Choice:
    """The choice of a form and width; ``own``: the group is that of the config."""
    bits = None if form is None else form.bits
    loss = nanoseconds = operations = 0.0
    for name, seen in members:
        if (activation is not None and activation not in seen.activation_errors) or (
            form is not None and form not in seen.weight_errors
        ):
            tried = sorted(
                {*seen.activation_errors, *map(str, seen.weight_errors)}, key=str
            )
            raise ConfigError(
                f"site '{name}': the sensitivity of W{form or '-'}A{activation} was "
                f'not measured, only of {tried} (bits, or bits/group of weights)'
            )
        loss += seen.error(form, activation)
        nanoseconds += table.product(name, seen.kernel, form, activation)
        other = activation or PIXEL_BITS
        operations += seen.multiplications * (bits or other) * other
    return Choice(
        bits,
        activation,
        '',
        loss,
        _bytes(members[0][1], form) if form else 0.0,
        nanoseconds * 1e-6,
        operations,
        form.group if form and most_factor(form.bits) > 1 else None,
        own,
    )


def _bytes(seen: SiteSensitivity, form: WeightForm) -> float:
    """Bytes of the codes of a weight, and of the factors of their groups."""
    total = seen.numbers * form.bits
    rows = seen.kernel['shapes'][1][0]
    inputs = seen.numbers // rows
    if form.group and inputs > form.group:
        total += rows * -(-inputs // form.group) * factor_bits(form.bits)
    return total / 8


def function_units(
    candidates: Mapping[str, Mapping[str, Mapping[str, CandidateErrors]]],
) -> list[Unit]:
    """The units of non-linear sites: which function each may have.

    Args:
        candidates: Errors by region, site and name of the function, with gradients.
    """
    units = []
    for region, sites in candidates.items():
        for site, known in sites.items():
            unit = Unit([f'{region}.{site}' if site[0] != '/' else region + site])
            for name, errors in known.items():
                loss = max(errors.relative_output_error, errors.relative_weighted_error)
                measured = errors.nanoseconds * errors.elements / max(1, errors.images)
                unit.choices.append(
                    Choice(function=name, loss=loss, ms=measured * 1e-6)
                )
            units.append(unit)
    return units


def total(chosen: Sequence[Choice], cost: str) -> float:
    """The sum of a cost, or of the loss, over the choices of all units."""
    return sum(choice.cost(cost) for choice in chosen)


def uniform(units: Sequence[Unit], weight: int, activation: int) -> list[Choice]:
    """The choices of a model that has the same bits everywhere.

    Groups are those of the config. Non-linear sites have the function of the least
    loss.

    Raises:
        ConfigError: If a unit has no such choice.
    """
    chosen = []
    for unit in units:
        fitting = [
            choice
            for choice in unit.choices
            if choice.weight in (None, weight)
            and choice.own
            and choice.activation in (None, activation)
        ]
        if not fitting:
            raise ConfigError(
                f'W{weight}A{activation} is no choice of this search at '
                f"'{unit.sites[0]}': name its bits among --weights and --activations"
            )
        chosen.append(min(fitting, key=lambda choice: choice.loss))
    return chosen
