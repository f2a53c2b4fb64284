"""Overrides of a config at the sites and parameters of a region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from ..functions import IntegerFunction, function_name
from ..modes.region import PIXELS
from ..operations import WEIGHTS
from ..record import RegionRecord
from ..registry import FUNCTIONS
from .config import WIDE, ConfigError, Override, QuantizationConfig, meant

#: Operations whose operands are multiplied with each other.
PRODUCTS = ('linear', 'conv2d', 'matmul')


class SiteOverrides:
    """What the overrides of a config say of one region.

    Args:
        overrides: Of the config.
        record: Of the region: its name, and the modules and sites that it has.
    """

    def __init__(self, overrides: Sequence[Override], record: RegionRecord) -> None:
        self._overrides, self._record = list(overrides), record
        self._covered: dict[tuple[int, str], bool] = {}
        self._users: dict[str, list[str]] = {}
        for site, sources in record.sources.items() if overrides else ():
            for source in sources:
                name = (source or '').removeprefix('parameter:')
                if name != source:
                    self._users.setdefault(name, []).append(site)
        self._wide: set[str] = set()
        if any(override.activation.bits == WIDE for override in overrides):
            self._wide = set(wide_inputs(record))

    def activation_bits(self, site: str) -> int | None:
        """Bits of the operands of a product; None: those of the config."""
        found = None
        for i, override in enumerate(self._overrides):
            bits = override.activation.bits
            if bits is not None and self._takes(site, bits) and self._covers(i, site):
                found = bits
        return found

    def widened(self) -> set[str]:
        """Values that get the bits of wide ones although products take them."""
        if not self._wide:
            return set()
        return {
            str(sources[0])
            for site, sources in self._record.sources.items()
            if self.activation_bits(site) == WIDE
        }

    def weight_bits(self, parameter: str) -> int | None:
        """Bits of a weight, by its name in the region; None: those of the config.

        A weight is covered if its module is, or a site that uses it.
        """
        return self._of_weight(parameter, 'bits')

    def weight_group(self, parameter: str) -> int | None:
        """Inputs of a weight that share a factor; None: as the config has it."""
        return self._of_weight(parameter, 'group')

    def _of_weight(self, parameter: str, part: str) -> int | None:
        found = None
        places = [parameter.rpartition('.')[0] + '/', *self._users.get(parameter, [])]
        for i, override in enumerate(self._overrides):
            said = getattr(override.weight, part)
            if said is not None and any(self._covers(i, place) for place in places):
                found = said
        return found

    def function(self, site: str) -> dict[str, Any] | None:
        """Registry dict of the function of a site; None: the criterion chooses."""
        found = None
        for i, override in enumerate(self._overrides):
            if self._is_of(override, site) and self._covers(i, site):
                found = override.function
        return dict(found) if isinstance(found, dict) else None

    def functions(self) -> dict[str, dict[str, IntegerFunction]]:
        """The one candidate of each site whose function is given, built, by name."""
        found = {}
        for site in self._record.operations if self._overrides else ():
            cfg = self.function(site)
            if cfg is not None:
                found[site] = {function_name(cfg): FUNCTIONS.build(dict(cfg))}
        return found

    def effects(self, number: int) -> Iterator[str]:
        """What in the region an override has a say in, as far as it can be known.

        Args:
            number: Of the override.

        Yields:
            ``weight``, ``activation`` or ``function``, once for each parameter or site.
        """
        override, record = self._overrides[number], self._record
        for site, kind in record.operations.items():
            if not self._covers(number, site):
                continue
            if kind in PRODUCTS and self._takes(site, override.activation.bits):
                yield 'activation'
            if self._is_of(override, site):
                yield 'function'
        for name, roles in record.parameters.items():
            places = [name.rpartition('.')[0] + '/', *self._users.get(name, [])]
            if roles & set(WEIGHTS) and any(self._covers(number, p) for p in places):
                yield 'weight'

    def _takes(self, site: str, bits: int | None) -> bool:
        """Whether the operands of a product may have so many bits."""
        if bits != WIDE:
            return True
        linear = self._record.operations[site] == 'linear'
        return linear and self._record.sources[site][0] in self._wide

    def _is_of(self, override: Override, site: str) -> bool:
        """Whether the function of an override is one for a site."""
        function = override.function
        if not isinstance(function, dict):
            return False
        return self._record.operations[site] == FUNCTIONS.get(function['type']).kind

    def _covers(self, number: int, site: str) -> bool:
        """Whether an override covers a site, or a module (``path/``)."""
        key = number, site
        if key not in self._covered:
            path, override = site.partition('/')[0], self._overrides[number]
            region, types = self._record.region, self._record.modules
            names = [_joined(region, site)]
            for module in _with_parents(path):
                names += [_joined(region, module), types.get(module, '')]
            self._covered[key] = override.matches(*(n for n in names if n))
        return self._covered[key]


def wide_inputs(record: RegionRecord) -> list[str]:
    """Values that linear layers take, and no other product: kernels take these wide.

    Those that another region makes are not among them: it decides about their bits.
    """

    def may(value: str, sites: list[str]) -> bool:
        products = [s for s in sites if record.operations[s] in PRODUCTS]
        return (
            bool(products)
            and all(record.operations[s] == 'linear' for s in products)
            and record.operations.get(value) != 'softmax'
            and record.producers.get(value) is None
            and value != PIXELS
        )

    uses = record.consumers()
    return [v for v, used in uses.items() if may(v, [site for site, _ in used])]


def _joined(region: str, path: str) -> str:
    """The name in the model of something in a region."""
    separator = '' if path.startswith('/') or not path else '.'
    return f'{region}{separator}{path}'


def _with_parents(path: str) -> Iterator[str]:
    """A module path and those of the modules around it, the region's module last."""
    while path:
        yield path
        path = path.rpartition('.')[0]
    yield ''


def check_patterns(model: nn.Module, config: QuantizationConfig) -> None:
    """Make sure that the patterns of overrides match modules of the regions.

    Patterns with a slash may be those of sites, which only calibration knows:
    :func:`check_effects` looks at these.

    Raises:
        ConfigError: If one matches nothing; the message has names that are alike.
    """
    names: dict[str, None] = {}
    for region in config.regions:
        for path, module in model.get_submodule(region).named_modules():
            names[_joined(region, path)] = names[type(module).__name__] = None
    for i, override in enumerate(config.overrides):
        if '/' not in override.where and not override.matches(*names):
            raise ConfigError(_nothing(i, override, names))


def check_effects(
    config: QuantizationConfig, records: Mapping[str, RegionRecord]
) -> None:
    """Make sure that overrides change something, now that sites are known.

    Raises:
        ConfigError: If one covers no site, or none of those that it is for.
    """
    resolved = [SiteOverrides(config.overrides, r) for r in records.values()]
    for i, override in enumerate(config.overrides):
        if override.keep_float:
            continue
        found = {effect for region in resolved for effect in region.effects(i)}
        wanted = [*override.precisions, *(['function'] if override.function else [])]
        if not found and '/' in override.where:
            sites = {
                _joined(name, site): None
                for name, record in records.items()
                for site in record.operations
            }
            if not override.matches(*sites):
                raise ConfigError(_nothing(i, override, sites))
        for what in wanted:
            if what not in found:
                wide = what == 'activation' and override.activation.bits == WIDE
                lacking = _LACKING_WIDE if wide else _LACKING[what]
                raise ConfigError(
                    f'quantization.overrides[{i}] (where={override.where!r}) has '
                    f'{what}=..., but {lacking} in what it covers'
                )


#: Why a part of an override has no effect.
_LACKING = {
    'weight': 'there is no weight of a linear layer or convolution',
    'activation': 'there is no linear layer, convolution or matrix product',
    'function': 'there is no site of the kind of this function',
}
_LACKING_WIDE = (
    f'there is no linear layer whose input may have {WIDE} bits (no other product '
    'takes it, and it comes from the same region)'
)


def _nothing(number: int, override: Override, names: Mapping[str, None]) -> str:
    """The message about a pattern that matches no name."""
    where = override.where
    inside = [name for name in names if where.strip('.*') in name]
    near = f', such as {inside[0]!r}' if inside else meant(where, list(names))
    part = (
        "; it has to match the whole name: write '.*' for the rest of it"
        if inside
        else ''
    )
    return (
        f'quantization.overrides[{number}].where={where!r} matches no module, class '
        f'or site in the regions{part}{near}'
    )
