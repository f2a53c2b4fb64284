"""Modules that overrides keep float: which they are, and whether they can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from ..kept_float import RETURNED, keep_float, kept_float, quantized_parameters
from ..record import RegionRecord
from .config import ConfigError, Override, QuantizationConfig


def keep_modules_float(
    model: nn.Module, config: QuantizationConfig
) -> QuantizationConfig:
    """Mark the modules that overrides keep float.

    Args:
        model: The float model; its modules get marks.
        config: Its patterns were checked.

    Returns:
        The config without the regions that stay float as a whole.

    Raises:
        ConfigError: If no region is left, or a float module has a parameter that
            something else in its region uses, too.
    """
    overrides = [o for o in config.overrides if o.keep_float]
    regions = []
    for name in config.regions:
        module = model.get_submodule(name)
        paths = list(_kept(module, name, '', overrides))
        if '' in paths:
            continue
        regions.append(name)
        keep_float(module, paths)
        _check_parameters(name, module)
    if not regions:
        raise ConfigError(
            f'quantization.overrides keeps all regions float ({config.regions}): '
            'nothing is left to quantize'
        )
    return replace(config, regions=regions)


def check_float_modules(model: nn.Module, records: Mapping[str, RegionRecord]) -> None:
    """Make sure that the modules kept float were called, once calibration ran.

    Args:
        model: The float model.
        records: By region.

    Raises:
        ConfigError: If one was not: the code around it computes with its parameters.
    """
    for name, record in records.items():
        for path in kept_float(model.get_submodule(name)):
            if any(value.startswith(f'{RETURNED}{path}:') for value in record.values):
                continue
            parent = path.rpartition('.')[0]
            whole = f'{name}.{parent}' if parent else name
            raise ConfigError(
                f"quantization.overrides keeps '{name}.{path}' float, but the model "
                'never calls that module, or it returns no floats: the code around it '
                f"uses its parts itself. Keep '{whole}' float instead"
            )


def _kept(
    module: nn.Module, region: str, path: str, overrides: Sequence[Override]
) -> Iterator[str]:
    """Paths of the largest modules that overrides keep float."""
    full = f'{region}.{path}' if path else region
    matched = any(o.matches(full, type(module).__name__) for o in overrides)
    # A list is never called itself.
    if matched and not isinstance(module, nn.ModuleList | nn.ModuleDict):
        yield path
        return
    for name, child in module.named_children():
        inner = f'{path}.{name}' if path else name
        if matched:
            yield from _kept(child, region, inner, [Override('.*')])
        else:
            yield from _kept(child, region, inner, overrides)


def _check_parameters(region: str, module: nn.Module) -> None:
    """Raise ConfigError if integers and a float module share a parameter."""
    own = {id(p): name for name, p in quantized_parameters(module)}
    for path in kept_float(module):
        for name, parameter in module.get_submodule(path).named_parameters():
            if id(parameter) in own:
                raise ConfigError(
                    f"quantization.overrides keeps '{region}.{path}' float, but its "
                    f"'{name}' is also '{own[id(parameter)]}' of the region, which "
                    'becomes integers: keep both float, or none'
                )
