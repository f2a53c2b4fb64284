"""The dict ``quantization.guarantee``, and the wider model that it may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...guarantee import images_needed
from .candidates import named_candidates
from .parts import ReconstructionConfig
from .reading import ConfigError, build, meant

#: What the guard's model has in place of the settings of the model that it guards. Its
#: errors have to be far smaller: weights of 8 bits alone, rounded to the nearest, leave
#: DeiT-Tiny 31 dB at the logits, so that 1 answer in 100 differs. Nor may it clip what
#: calibration did not see: that costs far more than the bit that the room takes.
WIDE: dict[str, dict[str, Any]] = {
    'weight': {
        'bits': 16,
        'observer': {'type': 'minmax'},
        'rounding': {'type': 'nearest'},
        'bias_correction': False,
        'guided': False,
        'group': 0,
    },
    'activation': {
        'bits': 16,
        'observer': {'type': 'minmax', 'room': 1.2},
        'symmetric': True,
        'search_images': 0,
        'guard_images': 0,
        'least_db': None,
        'codes': {},
    },
    'wide': {
        'bits': 16,
        'observer': {'type': 'minmax', 'room': 1.2},
        'attention': None,
        'gelu': None,
        'softmax': None,
    },
    'calibration': {'recalibrate': None, 'function_ranges': None},
}
#: ... and its functions, those nearest to float.
FUNCTIONS = {
    'gelu': [{'type': 'long_table_gelu'}],
    'softmax': [{'type': 'table_softmax'}],
    'layer_norm': [{'type': 'ibert_layernorm'}],
    'unary': [{'type': 'interpolated_unary'}],
}


@dataclass
class GuaranteeConfig:
    """How sure it shall be that the integer model answers as the float one.

    Attributes:
        images: How many images of the calibration data that calibrate nothing are held
            out for it; 0: no guarantee.
        confidence: Probability with which the statements hold, each by itself.
        agreement: Share of images like the held-out ones of which it shall be certain
            that their answers, where no flag warns of them, are those of the float
            model.
        target: The same share as an estimate. It is what a guard is for: more than few
            images could prove.
        guard: Settings of a wider model that answers flagged images, merged into
            :data:`WIDE`; None: there is none.
    """

    images: int = 0
    confidence: float = 0.95
    agreement: float = 0.99
    target: float = 0.999
    guard: dict | None = None

    def check(self, where: str) -> None:
        """Raise ConfigError unless so many images can say something.

        Args:
            where: Its key in the config, for the message.
        """
        for name in ('confidence', 'agreement', 'target'):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(
                    f'{where}.{name}={getattr(self, name)}: use a share between 0 and 1'
                )
        if self.images < 0:
            raise ConfigError(f'{where}.images={self.images}: use 0 or more')
        if self.images:
            check_images(self, self.images, where)
        for name, given in (self.guard or {}).items():
            if name not in WIDE:
                raise ConfigError(
                    f'{where}.guard has no option {name!r}; it has '
                    f'{[*WIDE]}{meant(name, WIDE)}'
                )
            if not isinstance(given, Mapping):
                raise ConfigError(f'{where}.guard.{name} is a dict, not {given!r}')


def check_images(config: GuaranteeConfig, images: int, where: str) -> None:
    """Raise ConfigError if so many images could prove nothing.

    Args:
        config: What shall be proved.
        images: How many there are.
        where: Its key in the config, for the message.
    """
    needed = images_needed(config.agreement, config.confidence)
    if images < needed:
        raise ConfigError(
            f'{where}: {images} held-out images cannot show an agreement of '
            f'{config.agreement} with confidence {config.confidence}, even if all of '
            f'them agree: it takes {needed}. Hold out more ({where}.images; they must '
            'not be among quantization.calibration.num_images), or ask for less'
        )


def widened(config: Any) -> Any:
    """The settings of the guard's model, beside those of the model that it guards.

    Args:
        config: A checked ``QuantizationConfig`` that asks for a guard.

    Raises:
        ConfigError: If what ``guard`` says is unknown, or impossible.
    """
    given = config.guarantee.guard or {}
    where = 'quantization.guarantee.guard'
    parts = {}
    for name, wide in WIDE.items():
        before = getattr(config, name)
        merged = {**asdict(before), **wide, **given.get(name, {})}
        parts[name] = build(type(before), merged, f'{where}.{name}')
    try:
        wide = replace(
            config,
            **parts,
            equalization=[],
            reconstruction=ReconstructionConfig(),
            guarantee=GuaranteeConfig(),
            analysis='site',
            methods=[],
            criterion={'type': 'sqnr'},
            candidates=named_candidates(FUNCTIONS),
            # Bits and functions by site are those of the narrow model.
            overrides=[o for o in config.overrides if o.keep_float],
        )
        wide.check()
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error
    return wide
