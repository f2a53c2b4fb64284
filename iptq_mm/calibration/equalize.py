"""The phase that moves ranges from activations into parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..modes import ChannelMap, Channels, Ranges, Ranging
from ..modes.base import FloatMode
from ..registry import EQUALIZERS
from .config import QuantizationConfig
from .equalization import Equalized
from .phases import Forward, run_batches

#: Relative difference of the float outputs that reordered float32 sums may make.
TOLERANCE = 1e-3

#: By region and site, powers of two of the channels of its first operand.
Powers = dict[str, dict[str, list[int]]]


@dataclass
class Equalization:
    """What :func:`equalize` did.

    Attributes:
        powers: By region, what the sites multiply their operands by from now on,
            see :func:`~iptq_mm.modes.base.amplified`. The new parameters compute
            what the old ones did only together with these.
        sites: By equalizer, how many sites got factors.
    """

    powers: Powers = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)


def channel_ranges(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    progress: Iterable | None = None,
) -> dict[str, Ranges]:
    """Ranges of the channels that equalizers look at, by region and site.

    Args:
        model: The float model.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches; the first one is looked at.
        progress: The same batches, gone through once; None: ``batches``.
    """
    maps = channel_maps(model, config, forward, batches)
    ranges = {name: Ranges() for name in maps}
    modes = {
        name: Ranging(channels.affine.keys() | channels.sums.keys(), ranges[name])
        for name, channels in maps.items()
    }
    run_batches(model, modes, forward, batches if progress is None else progress)
    return ranges


def channel_maps(
    model: nn.Module, config: QuantizationConfig, forward: Forward, batches: Iterable
) -> dict[str, ChannelMap]:
    """Which channel arrives where, by region; looks at the first batch."""
    modes = {name: Channels() for name in config.regions}
    run_batches(model, modes, forward, islice(iter(batches), 1))
    return {name: mode.map for name, mode in modes.items()}


def equalize(
    model: nn.Module,
    config: QuantizationConfig,
    ranges: dict[str, Ranges],
    forward: Forward,
    batches: Iterable,
) -> Equalization:
    """Run the equalizers of the config on the float model, which gets new parameters.

    Args:
        model: The float model.
        config: What to quantize.
        ranges: From :func:`channel_ranges`.
        forward: Runs a batch.
        batches: Calibration batches; the first one is run.

    Raises:
        RuntimeError: If the float model does not compute what it did before.
    """
    maps = channel_maps(model, config, forward, batches)
    before = _outputs(model, config, forward, batches)
    done = Equalization()
    for name, channels in maps.items():
        module = model.get_submodule(name)
        parameters = {
            n: p.detach().double().clone() for n, p in module.named_parameters()
        }
        region = Equalized(parameters, channels, ranges[name].copy())
        for cfg in config.equalization:
            count = EQUALIZERS.build(dict(cfg)).equalize(region)
            done.sites[cfg['type']] = done.sites.get(cfg['type'], 0) + count
        done.powers[name] = region.powers
        replace_parameters(module, parameters)
    after = _outputs(model, config, forward, batches, done.powers)
    for expected, value in zip(before, after, strict=True):
        error = float((value - expected).double().norm())
        size = float(expected.double().norm())
        if not error <= TOLERANCE * size:
            raise RuntimeError(
                'equalization changed what the float model computes (by '
                f'{error / (size or 1):.2g} of its output): please report this model; '
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


def _outputs(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    powers: Powers | None = None,
) -> list[Tensor]:
    """Float outputs of the regions for the first batch."""
    modes = {name: FloatMode() for name in config.regions}
    for name, mode in modes.items():
        mode.powers = (powers or {}).get(name, {})
    found: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        found.extend(
            x.detach()
            for x in tree_leaves(output)
            if isinstance(x, Tensor) and x.is_floating_point()
        )

    handles = [
        model.get_submodule(name).register_forward_hook(keep) for name in config.regions
    ]
    try:
        run_batches(model, modes, forward, islice(iter(batches), 1))
    finally:
        for handle in handles:
            handle.remove()
    return found
