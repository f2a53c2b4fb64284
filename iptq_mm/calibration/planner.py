"""From the record to the plan: bits, ranges and functions of all sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..functions import IntegerFunction
from ..intmath import QParams
from ..modes.region import PIXELS
from ..pixels import PIXEL_QPARAMS
from ..plan import RegionPlan, SitePlan
from ..record import RegionRecord
from ..registry import CODES, OBSERVERS
from .codes.base import GRID_BITS, Codes
from .config import WIDE, QuantizationConfig
from .config.parts import ActivationConfig
from .inputs.given import given_quantizers
from .relu_ranges import Rectified, after_relu, before_relu
from .site_overrides import PRODUCTS, SiteOverrides

#: Products that can take an asymmetric operand: the other one is a weight.
_AFFINE = ('linear', 'conv2d')

#: Quantizers by value, bits, whether they are symmetric, and the observer.
Known = dict[tuple[str, int, bool, str], QParams]


class Planner:
    """Decides bits and ranges of every value of a region.

    Args:
        record: What calibration saw.
        config: The quantization settings.
        produced: Quantizers of the inputs that other regions produce, by name.
        known: What observers chose already; planners of the same statistics may share
            it.
    """

    def __init__(
        self,
        record: RegionRecord,
        config: QuantizationConfig,
        produced: Mapping[str, QParams] | None = None,
        known: Known | None = None,
    ) -> None:
        self.record = record
        self._known: Known = {} if known is None else known
        self.config = config
        self._codes: dict[str, Codes] = {
            kind: CODES.build(dict(cfg))
            for kind, cfg in config.activation.codes.items()
            if cfg
        }
        self._uses = record.consumers()
        self._produced = produced or {}
        self._overrides = SiteOverrides(config.overrides, record)
        self._widened = {*record.widened, *self._overrides.widened()}

    def operand(self, value: str, bits: int) -> QParams | None:
        """The quantizer with which products take a value at so many bits.

        None: they have no choice, of probabilities and pixels.
        """
        pixels = value == PIXELS and self.record.pixels is not None
        if pixels or self.record.operations.get(value) == 'softmax':
            return None
        known = value in self.record.values
        return self.qparams(value, bits, narrow=True) if known else None

    def qparams(self, value: str, bits: int, narrow: bool | None = None) -> QParams:
        """The quantizer of a value at so many bits.

        Args:
            value: Site or input that made it.
            bits: Bits of an integer.
            narrow: Whether it is an operand of products; None: if it has as few bits.
        """
        if value == PIXELS and self.record.pixels:
            return PIXEL_QPARAMS
        if narrow is None:
            narrow = bits <= self.narrow_bits(value)
        cfg = self._observer(value, bits) if narrow else self.config.wide.observer
        seen, symmetric = self.record.values[value], self._symmetric(value, narrow)
        if seen.minimum == seen.maximum == 0:
            # A value that was always 0 fits any scale. One of an ordinary size keeps
            # the ratios to other scales within the range of multipliers.
            affine = QParams.asymmetric(0.0, 1.0, bits)
            return QParams.symmetric(1.0, bits) if symmetric else affine
        if narrow and self.has_codes(value, bits):
            codes = self._codes[self.record.operations[value]]
            return codes.qparams(seen, bits, symmetric)
        if narrow and value in self.record.clipping:
            return self.clipped(value, self.record.clipping[value], bits, narrow)
        key = value, bits, symmetric, repr(cfg)
        if key not in self._known:
            observer = OBSERVERS.build(dict(cfg))
            try:
                self._known[key] = observer.qparams(seen, bits, symmetric)
            except ValueError as error:
                raise ValueError(f"site '{value}': {error}") from error
        return self._known[key]

    def _observer(self, value: str, bits: int) -> dict:
        """The observer of an operand of products.

        That of the config suits the bits of the config: with few, it pays to clip. A
        value that an override gives more bits has the one of 8 bits.
        """
        config, chosen = self.config.activation, self.record.observers.get(value)
        if chosen:
            return chosen
        wider = bits > config.bits and bits >= GRID_BITS
        return ActivationConfig().observer if wider else config.observer

    def narrow_bits(self, value: str) -> int:
        """The most bits that a product wants a value at; else those of activations."""
        wanted = [
            self._wanted(site, position, None)
            for site, position in self._uses[value]
            if self._is_activation(site, position) and value not in self._widened
        ]
        return max(wanted, default=self.config.activation.bits)

    def has_codes(self, value: str, bits: int) -> bool:
        """Whether the levels of a value of so many bits are codes.

        Values that leave the region have none: ranges are all that regions exchange.
        """
        kind = self.record.operations.get(value)
        coded = kind in self._codes and value not in self.record.outputs
        return coded and bits < GRID_BITS

    def clipped(
        self,
        value: str,
        share: float,
        bits: int | None = None,
        narrow: bool | None = None,
    ) -> QParams:
        """The quantizer of a value that is clipped at a share of its largest magnitude.

        Args:
            value: Site or input that made it.
            share: Where to clip; it may be above 1.
            bits: Bits of an integer; None: those of activations.
            narrow: See :meth:`qparams`.
        """
        seen, bits = self.record.values[value], bits or self.narrow_bits(value)
        limit = share * max(-seen.minimum, seen.maximum)
        if narrow is None:
            narrow = bits <= self.narrow_bits(value)
        if self._symmetric(value, narrow):
            return QParams.symmetric(limit, bits)
        reach = max(share, 1.0)
        low = max(min(seen.minimum, 0.0) * reach, -limit)
        return QParams.asymmetric(low, min(max(seen.maximum, 0.0) * reach, limit), bits)

    def limited(self, value: str, limit: float, bits: int) -> QParams:
        """As :meth:`clipped`, at a magnitude instead of a share of the largest one."""
        seen = self.record.values[value]
        largest = max(-seen.minimum, seen.maximum, 1e-12)
        return self.clipped(value, limit / largest, bits)

    def plan(
        self,
        module: str,
        functions: dict[str, dict[str, Any]] | None = None,
        built: dict[str, IntegerFunction] | None = None,
        narrow_at_use: bool = False,
    ) -> RegionPlan:
        """The plan of the region, without parameters.

        Args:
            module: Class name of the region's module.
            functions: Registry dict of the function of each non-linear site;
                None: not chosen yet, every input has as many bits as possible.
            built: The same functions, built.
            narrow_at_use: Whether a value has as many bits as possible until a function
                narrows it, even if nothing else uses it: for comparisons before and
                after a function.
        """
        plan = RegionPlan(module, pixels=self.record.pixels)
        bits = self._bits(None if narrow_at_use else built)
        made = self._made(bits)
        for name, qparams in made.items():
            if name not in self.record.operations:
                plan.inputs[name] = qparams
        plan.inputs |= given_quantizers(self.record)
        for site, kind in self.record.operations.items():
            powers = self.record.channel_shifts.get(site)
            plan.sites[site] = SitePlan(kind, made[site], input_shifts=powers)
            for position, source in enumerate(self.record.sources[site]):
                if source not in made or kind == 'relu':  # which keeps the scale
                    continue
                wanted = self._wanted(site, position, built)
                limit = self.record.function_limits.get(site)
                if limit is not None and position == 0 and not self._limit_of(source):
                    wanted = min(wanted, bits[source])
                    operand = self.limited(source, limit, wanted)
                    plan.sites[site].inputs[position] = operand
                elif wanted < bits[source]:
                    plan.sites[site].inputs[position] = self.qparams(source, wanted)
            if functions and site in functions:
                plan.sites[site].function = functions[site]
        return plan

    def _bits(self, built: dict[str, IntegerFunction] | None) -> dict[str, int]:
        """Bits of each value: the most that any of its consumers wants."""
        bits: dict[str, int] = {}
        rectified = Rectified(self.record, self._uses, self._produced)
        for name, uses in reversed(self._uses.items()):  # consumers first
            wanted = [
                bits[site] if site in rectified.alone else self._wanted(site, i, built)
                for site, i in uses
            ]
            bits[name] = max(wanted, default=self.config.activation.bits)
            if name in self.record.outputs or name in rectified.beside:
                bits[name] = max(bits[name], self.config.wide.bits)
            if name in self._produced:
                bits[name] = self._produced[name].bits
        return {name: bits[name] for name in self._uses}

    def _made(self, bits: dict[str, int]) -> dict[str, QParams]:
        """The quantizer of each value where it is produced."""
        made: dict[str, QParams] = {}
        rectified = Rectified(self.record, self._uses, self._produced)
        for name, b in bits.items():
            if name in self._produced:
                made[name] = self._produced[name]
            elif name in rectified.operands:
                results = [self.qparams(r, bits[r]) for r in rectified.operands[name]]
                made[name] = before_relu(self.record.values[name], results)
            elif limit := self._limit_of(name):
                made[name] = self.limited(name, limit, b)
            else:
                made[name] = self.qparams(name, b)
            if self.record.operations.get(name) == 'relu':
                (source,) = self.record.sources[name]
                made[name] = after_relu(made[name], made[str(source)].scale)
        return made

    def _limit_of(self, value: str) -> float | None:
        """Where a value is clipped because its only consumer is a function.

        A function whose input has other consumers, or leaves the region, gets its own
        range by a requantization at its site.
        """
        if value in self.record.outputs or value in self._produced:
            return None
        limits = self.record.function_limits
        wanted = [limits.get(site) for site, _ in self._uses[value]]
        return wanted[0] if len(wanted) == 1 else None

    def _wanted(
        self, site: str, position: int, built: dict[str, IntegerFunction] | None
    ) -> int:
        """Bits at which a site wants an operand."""
        kind, wide = self.record.operations[site], self.config.wide
        if self._is_activation(site, position):
            if self.record.sources[site][position] in self.record.widened:
                return wide.bits
            bits = self._overrides.activation_bits(site)
            return wide.bits if bits == WIDE else bits or self.config.activation.bits
        if kind in PRODUCTS:
            return wide.attention or wide.bits
        most = {'gelu': wide.gelu, 'softmax': wide.softmax}.get(kind) or wide.bits
        if built and site in built:
            return min(most, built[site].max_input_bits)
        return most

    def _is_activation(self, site: str, position: int) -> bool:
        """Whether an operand has the bits of activations: one of a product."""
        if self.record.operations[site] not in PRODUCTS:
            return False
        source = self.record.sources[site][position] or ''
        return self.record.operations.get(source) != 'softmax'

    def _symmetric(self, value: str, narrow: bool) -> bool:
        if self.record.operations.get(value) == 'softmax':
            return False  # probabilities are not negative
        kinds = {self.record.operations[site] for site, _ in self._uses[value]}
        affine = narrow and kinds <= {*_AFFINE, 'gelu', 'unary', 'relu'} and kinds
        return self.config.activation.symmetric or not affine
