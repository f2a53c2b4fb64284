"""The ``overrides``: what is different at some sites, as a config has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...functions import function_name
from ...registry import FUNCTIONS
from .candidates import check_function
from .parts import check_group
from .reading import ConfigError, build, check_type, meant

#: Bits that an override gives the inputs of linear layers: those of wide values.
WIDE = 16


@dataclass
class Precision:
    """Precision of the activations that an override covers.

    Attributes:
        bits: Bits of an integer; None: those of the config.
    """

    bits: int | None = None


@dataclass
class WeightPrecision(Precision):
    """Precision of the weights that an override covers.

    Attributes:
        group: So many inputs of an output channel share a factor, 0: none do; None: as
            many as the config has it. Weights of 8 bits have no factors.
    """

    group: int | None = None


@dataclass
class Override:
    """What is different at the sites that a pattern covers.

    Of two overrides that say different things of the same site, the later one counts.

    Attributes:
        where: A regular expression that has to match all of a name: the path of a
            module in the model, the name of its class, or the name of a site after the
            region's (``backbone.layers.0.attn/softmax:0``). A module that matches is
            covered with everything in it.
        weight: Precision of the weights of linear layers and convolutions.
        activation: Precision of the inputs of linear layers, convolutions and matrix
            products. 16 bits: linear layers that are covered get inputs with the bits
            of wide values, and other products keep what they have.
        function: The integer function of non-linear sites of its kind: registry dict,
            or the name of a candidate; None: the criterion chooses.
        keep_float: Whether modules that match compute in floats.
    """

    where: str
    weight: WeightPrecision = field(default_factory=WeightPrecision)
    activation: Precision = field(default_factory=Precision)
    function: dict | str | None = None
    keep_float: bool = False

    @property
    def bits(self) -> dict[str, int]:
        """The bits that it sets, by ``weight`` and ``activation``."""
        parts = {'weight': self.weight.bits, 'activation': self.activation.bits}
        return {name: bits for name, bits in parts.items() if bits is not None}

    @property
    def precisions(self) -> list[str]:
        """Of ``weight`` and ``activation``, those of which it says something."""
        weight = self.weight.bits is not None or self.weight.group is not None
        activation = self.activation.bits is not None
        return ['weight'] * weight + ['activation'] * activation

    def matches(self, *names: str) -> bool:
        """Whether the pattern matches one of these names, each as a whole."""
        return any(re.fullmatch(self.where, name) for name in names)


def read_overrides(
    given: Any, candidates: Mapping[str, Mapping[str, dict]]
) -> list[Override]:
    """Overrides from the list in a config.

    Args:
        given: The list.
        candidates: By kind and name, for functions that are given by name.

    Raises:
        ConfigError: If a key is unknown, a value is out of range, a pattern is no
            regular expression, or an override says nothing.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ConfigError(f'quantization.overrides is a list of dicts, not {given!r}')
    return [
        one if isinstance(one, Override) else _read(one, i, candidates)
        for i, one in enumerate(given)
    ]


def _read(
    given: Any, number: int, candidates: Mapping[str, Mapping[str, dict]]
) -> Override:
    at = f'quantization.overrides[{number}]'
    if not isinstance(given, Mapping) or not isinstance(given.get('where'), str):
        raise ConfigError(
            f"{at} is a dict with a pattern, such as dict(where='backbone.layers.0', "
            f'weight=dict(bits=8)), not {given!r}'
        )
    parts = {
        name: build(kind, given[name], f'{at}.{name}')
        for name, kind in (('weight', WeightPrecision), ('activation', Precision))
        if name in given
    }
    override: Override = build(Override, {**given, **parts}, at)
    try:
        re.compile(override.where)
    except re.error as error:
        raise ConfigError(
            f'{at}.where={override.where!r} is no regular expression: {error}'
        ) from error
    for name, bits in override.bits.items():
        wide = ' or 16' if name == 'activation' else ''
        if not (2 <= bits <= 8 or (wide and bits == WIDE)):
            raise ConfigError(f'{at}.{name}.bits={bits}: use 2 to 8{wide}')
    check_group(override.weight.group, override.weight.bits, f'{at}.weight')
    if override.function is not None:
        override.function = _function(override.function, candidates, f'{at}.function')
    said = bool(override.precisions) or override.function is not None
    if override.keep_float and said:
        raise ConfigError(
            f'{at} keeps modules float and gives them bits, groups or a function: use '
            'two overrides for two patterns'
        )
    if not (said or override.keep_float):
        raise ConfigError(
            f'{at} (where={override.where!r}) says nothing: add weight=dict(bits=...), '
            'weight=dict(group=...), activation=dict(bits=...), function=... or '
            'keep_float=True'
        )
    return override


def _function(
    given: dict | str, candidates: Mapping[str, Mapping[str, dict]], at: str
) -> dict:
    """The registry dict of a function; that of a candidate, if it is one."""
    FUNCTIONS.import_from_location()
    named = {n: cfg for kind in candidates.values() for n, cfg in kind.items()}
    if isinstance(given, str):
        names = sorted({*named, *FUNCTIONS.module_dict})
        if given not in names:
            raise ConfigError(
                f'{at}: there is no function {given!r}; there are '
                f'{names}{meant(given, names)}'
            )
        return named.get(given, {'type': given})
    check_type(FUNCTIONS, given, at)
    check_function(FUNCTIONS.get(given['type']).kind, given, at)
    return named.get(function_name(given), given)
