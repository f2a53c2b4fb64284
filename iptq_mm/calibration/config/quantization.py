"""The ``quantization`` dict, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...functions import IntegerFunction
from ...registry import CRITERIA, EQUALIZERS, FUNCTIONS, OBSERVERS, ROUNDINGS
from .candidates import named_candidates
from .parts import ActivationConfig, CalibrationConfig, WeightConfig, WideConfig
from .reading import ConfigError, build, check_arguments, check_type, plain

#: Of the inputs of LayerNorm.
_MOST_BITS = 16


@dataclass
class QuantizationConfig:
    """The whole of ``quantization = dict(...)`` in a config.

    Attributes:
        regions: Paths of the sub-modules that shall run integer-only.
        pixels: Whether regions that get normalized images take the pixels themselves.
        weight: See :class:`WeightConfig`.
        activation: See :class:`ActivationConfig`.
        wide: See :class:`WideConfig`.
        equalization: Registry dicts of equalizers, applied in this order.
        criterion: Registry dict of the figure by which functions are chosen.
        cost_weights: Weight of each kind of operation in the cost (1 if not
            named): add, mul, shift, div, lookup.
        calibration: See :class:`CalibrationConfig`.
        candidates: By operation kind, the functions to choose among.
        on_mismatch: ``error`` or ``warn``: what to do about a region that is far worse
            in integers than the quantization of its linear layers explains.
    """

    regions: list[str]
    pixels: bool = False
    weight: WeightConfig = field(default_factory=WeightConfig)
    activation: ActivationConfig = field(default_factory=ActivationConfig)
    wide: WideConfig = field(default_factory=WideConfig)
    equalization: list[dict] = field(default_factory=list)
    criterion: dict = field(default_factory=lambda: {'type': 'unified_metric'})
    cost_weights: dict = field(default_factory=dict)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    candidates: dict[str, dict[str, dict]] = field(default_factory=dict)
    # No part of what a kept state belongs to: --resume goes on with another one.
    on_mismatch: str = field(default='error', repr=False)

    @classmethod
    def from_dict(
        cls, quantization: Mapping[str, Any], candidates: Mapping[str, Any]
    ) -> QuantizationConfig:
        """Read and check both dicts of a config.

        Args:
            quantization: As the attributes, all but ``candidates``.
            candidates: By kind (``gelu``, ``softmax``, ``layer_norm``), a list
                of registry dicts of functions.

        Raises:
            ConfigError: If something is unknown, missing or out of range.
        """
        given = plain(quantization)
        if isinstance(given.get('regions'), str):  # as --cfg-options gives it
            given['regions'] = [given['regions']]
        if not given.get('regions'):
            raise ConfigError(
                'quantization.regions is empty: name the parts to quantize, e.g. '
                "regions=['backbone']"
            )
        for name, part in (
            ('weight', WeightConfig),
            ('activation', ActivationConfig),
            ('wide', WideConfig),
            ('calibration', CalibrationConfig),
        ):
            given[name] = build(part, given.get(name, {}), f'quantization.{name}')
        self = build(cls, given, 'quantization')
        self.candidates = named_candidates(plain(candidates))
        self._check()
        return self

    def functions(self) -> dict[str, dict[str, IntegerFunction]]:
        """The candidate functions, built."""
        return {
            kind: {name: FUNCTIONS.build(dict(cfg)) for name, cfg in named.items()}
            for kind, named in self.candidates.items()
        }

    def _check(self) -> None:
        if self.on_mismatch not in ('error', 'warn'):
            raise ConfigError(
                f"quantization.on_mismatch={self.on_mismatch!r}: use 'error' or 'warn'"
            )
        optional = {n: getattr(self.wide, n) for n in ('attention', 'gelu', 'softmax')}
        for name, bits, most in (
            ('weight.bits', self.weight.bits, 8),
            ('activation.bits', self.activation.bits, 8),
            ('wide.bits', self.wide.bits, 16),
            *((f'wide.{n}', b, 16) for n, b in optional.items() if b is not None),
        ):
            if not 2 <= bits <= most:
                raise ConfigError(f'quantization.{name}={bits}: use 2 to {most}')
        for name in ('num_images', 'analysis_images', 'batch_size'):
            if getattr(self.calibration, name) < 1:
                raise ConfigError(
                    f'quantization.calibration.{name}='
                    f'{getattr(self.calibration, name)}: calibration needs images'
                )
        for registry, cfg in (
            (OBSERVERS, self.weight.observer),
            (OBSERVERS, self.activation.observer),
            (OBSERVERS, self.wide.observer),
            (ROUNDINGS, self.weight.rounding),
            (CRITERIA, self.criterion),
            *((EQUALIZERS, cfg) for cfg in self.equalization),
        ):
            check_type(registry, cfg)
            check_arguments(registry, cfg)
        self._check_powers()
        try:
            CRITERIA.build(dict(self.criterion)).check(self.candidates)
        except ValueError as error:
            raise ConfigError(f'quantization.criterion: {error}') from error

    def _check_powers(self) -> None:
        added = sum(EQUALIZERS.build(dict(c)).added_bits for c in self.equalization)
        if self.wide.bits + added > _MOST_BITS:
            raise ConfigError(
                f'quantization.wide.bits={self.wide.bits}: LayerNorm takes at most '
                f'{_MOST_BITS} bits, and quantization.equalization adds {added} by '
                f'powers of two; use at most {_MOST_BITS - added}, or a smaller '
                'max_power'
            )
