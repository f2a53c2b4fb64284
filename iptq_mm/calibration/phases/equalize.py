"""The phase equalize: moves ranges from activations into parameters, exactly."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from torch import Tensor, nn

from ...modes.base import FloatMode
from ...operations import Operation
from ...registry import EQUALIZERS
from ..batches import Forward, run_batches
from ..config import QuantizationConfig
from ..equalization import Equalized
from ..equalization.channel_map import ChannelMap
from ..equalization.channels import Channels
from ..equalization.ranging import Ranges, Ranging
from ..rewrites.kept_calls import change, kept_calls, outputs_of

#: Relative difference of the float outputs that reordered float32 sums may make.
TOLERANCE = 1e-3

#: Kinds around which equalizers move factors.
_EQUALIZED = {'layer_norm', 'matmul'}

#: By region and site, powers of two of the channels of its first operand.
Powers = dict[str, dict[str, list[int]]]


@dataclass
class Equalization:
    """The changes that :func:`equalize` made.

    Attributes:
        powers: By region, the powers of two that sites multiply their operands by from
            now on, see :func:`~iptq_mm.qtensor.channel_shifts.shift_channels`. The new
            parameters are equivalent to the old ones only together with these powers.
        sites: By equalizer, how many sites got factors.
    """

    powers: Powers = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)


def channel_ranges(
    model: nn.Module,
    maps: Mapping[str, ChannelMap],
    forward: Forward,
    batches: Iterable,
) -> dict[str, Ranges]:
    """Ranges of the channels that equalizers look at, by region and site.

    Args:
        model: The float model.
        maps: From :func:`channel_maps`.
        forward: Runs a batch.
        batches: Calibration batches, gone through once.
    """
    ranges = {name: Ranges() for name in maps}
    modes = {
        name: Ranging(channels.affine.keys() | channels.sums.keys(), ranges[name])
        for name, channels in maps.items()
    }
    run_batches(model, modes, forward, batches)
    return ranges


def channel_maps(
    model: nn.Module, config: QuantizationConfig, forward: Forward, batches: Iterable
) -> dict[str, ChannelMap]:
    """Where each channel arrives, by region.

    Regions of convolutions alone are left out, because equalizers act around LayerNorm
    and attention only.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches; one image shows as much as many. The first one on
            which every region runs is looked at, of two.
    """
    modes: dict[str, Channels] = {}
    for batch in islice(batches, 2):
        seen = {name: _Kinds() for name in config.regions}
        # Detectors write their predictions into the batch.
        run_batches(model, seen, forward, [copy.deepcopy(batch)])
        modes = {n: Channels() for n, mode in seen.items() if mode.kinds & _EQUALIZED}
        run_batches(model, modes, forward, [batch])
        if all(mode.kinds for mode in seen.values()):
            break
    return {name: mode.map for name, mode in modes.items()}


class _Kinds(FloatMode):
    """Notes which kinds of operations there are."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    def next_site(self, operation: Operation) -> str:
        """See the base class."""
        self.kinds.add(operation.kind)
        return super().next_site(operation)


def equalize(
    model: nn.Module,
    config: QuantizationConfig,
    maps: Mapping[str, ChannelMap],
    ranges: Mapping[str, Ranges],
    forward: Forward,
    batches: Iterable,
) -> Equalization:
    """Run the equalizers of the config on the float model, which gets new parameters.

    Args:
        model: The float model.
        config: What to quantize.
        maps: From :func:`channel_maps`.
        ranges: From :func:`channel_ranges`, of all processes.
        forward: Runs a batch.
        batches: Calibration batches; the first one is run.

    Raises:
        RuntimeError: If the float model does not compute what it did before.
    """
    calls = kept_calls(model, list(maps), forward, batches)
    before = outputs_of(model, calls)
    done = Equalization(
        {name: {} for name in config.regions},
        {cfg['type']: 0 for cfg in config.equalization},
    )
    for name, channels in maps.items():
        module = model.get_submodule(name)
        parameters = {
            n: p.detach().double().clone() for n, p in module.named_parameters()
        }
        region = Equalized(parameters, channels, ranges[name].copy())
        for cfg in config.equalization:
            count = EQUALIZERS.build(dict(cfg)).equalize(region)
            done.sites[cfg['type']] += count
        done.powers[name] = region.powers
        replace_parameters(module, parameters)
    error = change(before, outputs_of(model, calls, done.powers))
    if error > TOLERANCE:
        raise RuntimeError(
            'equalization changed what the float model computes (by '
            f'{error:.2g} of its output): please report this model; '
            'quantization.equalization=[] switches it off'
        )
    return done


def replace_parameters(module: nn.Module, values: dict[str, Tensor]) -> None:
    """Give a module new parameters; the old ones, which others may share, stay."""
    new = {
        id(old): nn.Parameter(values[name].to(old.dtype), old.requires_grad)
        for name, old in module.named_parameters()
    }
    for child in module.modules():
        for key, parameter in child._parameters.items():
            if parameter is not None:
                child._parameters[key] = new[id(parameter)]
