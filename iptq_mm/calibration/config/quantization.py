"""The ``quantization`` dict, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...functions import IntegerFunction, OperationCount
from ...registry import CRITERIA, EQUALIZERS, FUNCTIONS, OBSERVERS, ROUNDINGS
from .candidates import given_once, named_candidates
from .guarantee import GuaranteeConfig
from .methods import Method, methods_of
from .overrides import Override, read_overrides
from .parts import (
    ActivationConfig,
    CalibrationConfig,
    ReconstructionConfig,
    WeightConfig,
    WideConfig,
)
from .reading import ConfigError, build, check_arguments, check_type, meant, plain

#: The criterion of configs that name none. The presets name the same.
OUTPUT_ERROR = {'type': 'output_error', 'tolerance': 0.05}
#: ... and of the whole-model analysis, which exists for it.
SQNR_DIFFERENCE = {'type': 'sqnr_difference'}

#: How the errors of candidates are found.
ANALYSES = ('site', 'whole-model')

#: Bits of the narrowest presets. With 8 wide bits, DeiT-Tiny has 9 dB at the logits,
#: with 6 a third of its accuracy, with 4 none.
_SOUND = {'weight': 3, 'activation': 4, 'wide': 8}
#: Largest left shift of a channel, as plans keep it. 16 bits then become 31.
_MOST_SHIFT = 15


@dataclass
class QuantizationConfig:
    """The whole of ``quantization = dict(...)`` in a config.

    Attributes:
        regions: Paths of the sub-modules that shall run integer-only; one that is
            named twice counts once.
        pixels: Whether regions that get normalized images take the pixels themselves.
        weight: See :class:`WeightConfig`.
        activation: See :class:`ActivationConfig`.
        wide: See :class:`WideConfig`.
        equalization: Registry dicts of equalizers, applied in this order.
        criterion: Registry dict of the figure by which functions are chosen; by
            default the error of the outputs, see :data:`OUTPUT_ERROR`.
        analysis: Where the errors of a candidate come from. ``site``: all candidates of
            a site get its float input, quantized. ``whole-model``: the model runs in
            integers with the functions of one method at all sites, so that errors
            accumulate (stages i and ii of Mixed Non-linear Quantization).
        methods: The methods of the whole-model analysis, each a dict of functions by
            kind; empty: one for each paper, see
            :func:`~iptq_mm.calibration.config.methods.methods_of`.
        cost_weights: What an operation of each kind costs: add, mul, shift, div and
            lookup, 1 if not named. The cost of a function is the sum over the
            operations that one output element takes (``IntegerFunction.operations``),
            each times its weight: the C of the unified metric, and what decides between
            candidates that a criterion finds equal. With ``dict(mul=3, div=20)``, for
            instance, a division costs as much as 20 additions.
        calibration: See :class:`CalibrationConfig`.
        candidates: By operation kind, the functions to choose among; in a config,
            lists of registry dicts.
        overrides: What is different at some sites, see :class:`Override`.
        reconstruction: See :class:`ReconstructionConfig`.
        guarantee: See :class:`~.guarantee.GuaranteeConfig`.
        on_mismatch: ``error`` or ``warn``: what to do about a region that is far worse
            in integers than the quantization of its linear layers explains.
    """

    regions: list[str]
    pixels: bool = False
    weight: WeightConfig = field(default_factory=WeightConfig)
    activation: ActivationConfig = field(default_factory=ActivationConfig)
    wide: WideConfig = field(default_factory=WideConfig)
    equalization: list[dict] = field(default_factory=list)
    criterion: dict = field(default_factory=lambda: dict(OUTPUT_ERROR))
    analysis: str = 'site'
    methods: list[dict] = field(default_factory=list)
    cost_weights: dict = field(default_factory=dict)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    candidates: dict[str, dict[str, dict]] = field(default_factory=dict)
    # A kept state has them in its key if there are any.
    overrides: list[Override] = field(default_factory=list, repr=False)
    # The phases before it do not depend on it: a state has its own key for it.
    reconstruction: ReconstructionConfig = field(
        default_factory=ReconstructionConfig, repr=False
    )
    # No part of what a kept state belongs to: --resume goes on with another one.
    guarantee: GuaranteeConfig = field(default_factory=GuaranteeConfig, repr=False)
    on_mismatch: str = field(default='error', repr=False)

    @classmethod
    def from_dict(
        cls,
        quantization: Mapping[str, Any],
        candidates: Mapping[str, Any] | None = None,
    ) -> QuantizationConfig:
        """Read and check the dicts of a config.

        Args:
            quantization: As the attributes.
            candidates: The ``candidates`` beside it, where presets have them; None:
                those in ``quantization``, or the default ones.

        Raises:
            ConfigError: If something is unknown, missing, out of range, or given
                twice.
        """
        if not isinstance(quantization, Mapping):
            raise ConfigError(f'quantization is a dict, not {quantization!r}')
        given = plain(quantization)
        if isinstance(given.get('regions'), str):  # as --cfg-options gives it
            given['regions'] = [given['regions']]
        if not given.get('regions'):
            raise ConfigError(
                'quantization.regions is empty: name the parts to quantize, e.g. '
                "regions=['backbone']"
            )
        if given.get('analysis') == 'whole-model':
            given.setdefault('criterion', dict(SQNR_DIFFERENCE))
        functions = given_once(given.pop('candidates', None), plain(candidates))
        for name, part in (
            ('weight', WeightConfig),
            ('activation', ActivationConfig),
            ('wide', WideConfig),
            ('calibration', CalibrationConfig),
            ('reconstruction', ReconstructionConfig),
            ('guarantee', GuaranteeConfig),
        ):
            given[name] = build(part, given.get(name, {}), f'quantization.{name}')
        overrides = given.pop('overrides', [])
        self = build(cls, given, 'quantization')
        self.regions = list(dict.fromkeys(self.regions))
        self.candidates = named_candidates(functions)
        self.overrides = read_overrides(overrides, self.candidates)
        self.check()
        return self

    def functions(self) -> dict[str, dict[str, IntegerFunction]]:
        """The candidate functions, built."""
        return {
            kind: {name: FUNCTIONS.build(dict(cfg)) for name, cfg in named.items()}
            for kind, named in self.candidates.items()
        }

    def analysis_methods(self) -> list[Method]:
        """The methods that the whole-model analysis runs."""
        return methods_of(self.candidates, self.methods)

    def described(self) -> str:
        """The settings that the phases before the reconstruction depend on."""
        return ''.join(map(repr, [self, *self.overrides, *self.activation.guard()]))

    def unusual(self) -> list[str]:
        """Widths with which little is left of a model, as sentences."""
        widths = [('weight', 'bits'), ('activation', 'bits')]
        widths += [('wide', name) for name in ('bits', 'attention', 'gelu', 'softmax')]
        given = [(p, f'{p}.{n}', getattr(getattr(self, p), n)) for p, n in widths]
        for i, override in enumerate(self.overrides):
            for part, bits in override.bits.items():
                given.append((part, f'overrides[{i}].{part}.bits', bits))
        return [
            f'quantization.{name}={bits}: models are not known to bear fewer than '
            f'{_SOUND[part]} bits there, expect little of the result'
            for part, name, bits in given
            if bits is not None and bits < _SOUND[part]
        ]

    def check(self) -> None:
        """Raise ConfigError if something is unknown, out of range or impossible."""
        if self.on_mismatch not in ('error', 'warn'):
            raise ConfigError(
                f"quantization.on_mismatch={self.on_mismatch!r}: use 'error' or 'warn'"
            )
        if self.wide.bits < _SOUND['wide'] and self.on_mismatch == 'error':
            raise ConfigError(
                f'quantization.wide.bits={self.wide.bits}: residual streams and '
                f'attention scores need {_SOUND["wide"]} bits at least, 16 as a rule; '
                "quantization.on_mismatch='warn' lets fewer pass"
            )
        optional = {n: getattr(self.wide, n) for n in ('attention', 'gelu', 'softmax')}
        for name, bits, most in (
            ('weight.bits', self.weight.bits, 16),
            ('activation.bits', self.activation.bits, 16),
            ('wide.bits', self.wide.bits, 16),
            *((f'wide.{n}', b, 16) for n, b in optional.items() if b is not None),
        ):
            if not 2 <= bits <= most:
                raise ConfigError(f'quantization.{name}={bits}: use 2 to {most}')
        self.calibration.check('quantization.calibration')
        self.weight.check('quantization.weight')
        self.activation.check('quantization.activation', self.calibration)
        self.reconstruction.check('quantization.reconstruction')
        self.guarantee.check('quantization.guarantee')
        for key, weight in self.cost_weights.items():
            if key not in OperationCount._fields:
                raise ConfigError(
                    f'quantization.cost_weights has no {key!r}; there are '
                    f'{[*OperationCount._fields]}{meant(key, OperationCount._fields)}'
                )
            if not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ConfigError(
                    f'quantization.cost_weights.{key}={weight!r}: give a number, 0 or '
                    'more'
                )
        for registry, cfg, name in (
            (OBSERVERS, self.weight.observer, 'weight.observer'),
            (OBSERVERS, self.activation.observer, 'activation.observer'),
            (OBSERVERS, self.wide.observer, 'wide.observer'),
            (ROUNDINGS, self.weight.rounding, 'weight.rounding'),
            (CRITERIA, self.criterion, 'criterion'),
            *((EQUALIZERS, cfg, 'equalization') for cfg in self.equalization),
        ):
            check_type(registry, cfg, f'quantization.{name}')
            merged = registry is not EQUALIZERS
            check_arguments(registry, cfg, f'quantization.{name}', merged)
        if self.reconstruction.epochs and any(o.keep_float for o in self.overrides):
            raise ConfigError(
                'quantization.overrides keeps modules float, which a reconstruction '
                'cannot go through yet: use reconstruction=dict(epochs=0)'
            )
        self._check_analysis()
        self._check_powers()
        try:
            CRITERIA.build(dict(self.criterion)).check(self.candidates)
        except ValueError as error:
            raise ConfigError(f'quantization.criterion: {error}') from error

    def _check_powers(self) -> None:
        total = sum(EQUALIZERS.build(dict(c)).max_power for c in self.equalization)
        if total > _MOST_SHIFT:
            raise ConfigError(
                'quantization.equalization: the powers of two of all equalizers add up '
                f'to {total}; use smaller max_power, of {_MOST_SHIFT} together'
            )

    def _check_analysis(self) -> None:
        if self.analysis not in ANALYSES:
            raise ConfigError(
                f'quantization.analysis={self.analysis!r}: use '
                f'{" or ".join(map(repr, ANALYSES))}'
            )
        if self.analysis == 'site':
            if self.methods:
                raise ConfigError(
                    'quantization.methods are those of the whole-model analysis: add '
                    "quantization.analysis='whole-model'"
                )
            return
        if any(override.function for override in self.overrides):
            raise ConfigError(
                'quantization.overrides names functions of sites, but '
                "analysis='whole-model' gives all sites those of one method: use "
                "analysis='site'"
            )
        self.analysis_methods()
        if CRITERIA.get(self.criterion['type']).needs_gradients:
            raise ConfigError(
                f"quantization.criterion '{self.criterion['type']}' takes the error "
                "that a site itself makes, but analysis='whole-model' finds errors "
                'that all sites before it made, too: use '
                "criterion=dict(_delete_=True, type='sqnr_difference') or "
                "analysis='site'"
            )
