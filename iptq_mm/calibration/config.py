"""What to quantize and how: the ``quantization`` and ``candidates`` dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..functions import IntegerFunction, function_name
from ..registry import CRITERIA, EQUALIZERS, FUNCTIONS, OBSERVERS, ROUNDINGS

#: Of the inputs of LayerNorm.
_MOST_BITS = 16


class ConfigError(ValueError):
    """A mistake in the quantization config; the message says what to write."""


@dataclass
class WeightConfig:
    """Weights: symmetric, one scale for each output channel.

    Attributes:
        bits: Bits of an integer, 2 to 8.
        observer: Registry dict; gives the range of each channel.
        rounding: Registry dict; makes the integers.
        bias_correction: Whether biases make up for the mean error of their layer.
        guided: Whether both go by what an error does to the outputs of the region:
            inputs of a layer count by the squared gradient at what it makes of them.
    """

    bits: int = 8
    observer: dict = field(default_factory=lambda: {'type': 'minmax'})
    rounding: dict = field(default_factory=lambda: {'type': 'nearest'})
    bias_correction: bool = False
    guided: bool = False


@dataclass
class ActivationConfig:
    """Inputs of linear layers and products.

    Attributes:
        bits: Bits of an integer, 2 to 8.
        observer: Registry dict; gives the range.
        symmetric: Whether ranges are symmetric even where the hardware could
            take a zero point (inputs of linear layers and convolutions).
        search_images: How many calibration images choose the ranges by the error
            at the region's outputs, in the place of the observer; 0: the observer
            chooses.
    """

    bits: int = 8
    observer: dict = field(
        default_factory=lambda: {'type': 'percentile', 'percentile': 99.999}
    )
    symmetric: bool = False
    search_images: int = 0


@dataclass
class WideConfig:
    """Values that no product takes directly.

    The residual stream, inputs of LayerNorm and Softmax, attention
    probabilities and what leaves the region.

    Attributes:
        bits: Bits of an integer, at most 16.
        observer: Registry dict; gives the range.
        attention: Bits of the attention probabilities; None: ``bits``.
        gelu: Bits of the inputs of GELU; None: ``bits``.
        softmax: Bits of the inputs of Softmax; None: ``bits``.
    """

    bits: int = 16
    observer: dict = field(default_factory=lambda: {'type': 'minmax'})
    attention: int | None = None
    gelu: int | None = None
    softmax: int | None = None


@dataclass
class CalibrationConfig:
    """The images that are looked at.

    Attributes:
        num_images: How many images give the ranges.
        analysis_images: How many of them try the candidate functions.
        batch_size: Images in a batch.
        dataloader: A dataloader config; None: the training dataset with the
            pipeline of the test dataset.
    """

    num_images: int = 128
    analysis_images: int = 32
    batch_size: int = 8
    dataloader: dict | None = None


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
        given = _plain(quantization)
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
            given[name] = _build(part, given.get(name, {}), f'quantization.{name}')
        self = _build(cls, given, 'quantization')
        self.candidates = _named_candidates(_plain(candidates))
        self._check()
        return self

    def functions(self) -> dict[str, dict[str, IntegerFunction]]:
        """The candidate functions, built."""
        return {
            kind: {name: FUNCTIONS.build(dict(cfg)) for name, cfg in named.items()}
            for kind, named in self.candidates.items()
        }

    def _check(self) -> None:
        for name, bits, most in (
            ('weight.bits', self.weight.bits, 8),
            ('activation.bits', self.activation.bits, 8),
            ('wide.bits', self.wide.bits, 16),
            ('wide.attention', self.wide.attention or 16, 16),
            ('wide.gelu', self.wide.gelu or 16, 16),
            ('wide.softmax', self.wide.softmax or 16, 16),
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
            _check_type(registry, cfg)
            _check_arguments(registry, cfg)
        self._check_powers()

    def _check_powers(self) -> None:
        added = sum(EQUALIZERS.build(dict(c)).added_bits for c in self.equalization)
        if self.wide.bits + added > _MOST_BITS:
            raise ConfigError(
                f'quantization.wide.bits={self.wide.bits}: LayerNorm takes at most '
                f'{_MOST_BITS} bits, and quantization.equalization adds {added} by '
                f'powers of two; use at most {_MOST_BITS - added}, or a smaller '
                'max_power'
            )


def _named_candidates(candidates: dict[str, Any]) -> dict[str, dict[str, dict]]:
    named: dict[str, dict[str, dict]] = {}
    for kind in ('gelu', 'softmax', 'layer_norm'):
        if not candidates.get(kind):
            raise ConfigError(
                f'candidates.{kind} is empty: name at least one integer function, '
                f'one of {_available(kind)}'
            )
    for kind, functions in candidates.items():
        named[kind] = {}
        for cfg in functions:
            _check_type(FUNCTIONS, cfg)
            if FUNCTIONS.get(cfg['type']).kind != kind:
                raise ConfigError(
                    f"'{cfg['type']}' is no function for {kind}; those are "
                    f'{_available(kind)}'
                )
            _check_arguments(FUNCTIONS, cfg)
            named[kind][function_name(cfg)] = cfg
    return named


def _available(kind: str) -> list[str]:
    FUNCTIONS.import_from_location()
    return sorted(n for n, f in FUNCTIONS.module_dict.items() if f.kind == kind)


def _check_type(registry: Any, cfg: Mapping[str, Any]) -> None:
    if not isinstance(cfg, Mapping) or 'type' not in cfg:
        raise ConfigError(f'{cfg!r} is no {registry.name}: write a dict with a type')
    if registry.get(cfg['type']) is None:
        raise ConfigError(
            f"there is no {registry.name} '{cfg['type']}'; there are "
            f'{sorted(registry.module_dict)}'
        )


def _check_arguments(registry: Any, cfg: Mapping[str, Any]) -> None:
    try:
        registry.build(dict(cfg))
    except (TypeError, ValueError) as error:
        raise ConfigError(f'{registry.name} {dict(cfg)}: {error}') from error


def _build(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    if isinstance(given, cls):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f'{where} is a dict, not {given!r}')
    known = [f.name for f in fields(cls)]
    unknown = [k for k in given if k not in known]
    if unknown:
        raise ConfigError(f'{where} has no option {unknown[0]!r}; it has {known}')
    return cls(**given)


def _plain(value: Any) -> Any:
    """Config dicts and lists as plain ones."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
