"""The phase in front of all others: the first layer takes pixels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ..modes import Observing
from ..modes.region import PIXELS
from ..pixels import CENTRE, Pixels, is_image, take_pixels
from ..record import RegionRecord
from .config import QuantizationConfig
from .equalize import replace_parameters
from .kept_calls import change, kept_calls, outputs_of
from .phases import Forward, run_batches

#: How far from a whole number a pixel may come back from normalization.
_WHOLE = 0.01
#: Relative difference of the float outputs that zeros in the place of exact means
#: make, where the region pads its image.
TOLERANCE = 1e-2


def fold_normalization(
    model: nn.Module, config: QuantizationConfig, forward: Forward, batches: Iterable
) -> dict[str, str]:
    """Let regions take the pixels that their images were normalized from, exactly.

    With ``x = (p - mean) / std`` by channel, the first convolution gets the weights
    ``w / std`` and the bias ``b + sum w (128 - mean) / std``, and ``p - 128`` as input.

    Args:
        model: The float model; gets new parameters.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches; the first one is looked at.

    Returns:
        By region why it goes on with the normalized images; empty: it takes pixels.

    Raises:
        RuntimeError: If the float model does not compute what it did before.
    """
    pixels = normalization_of(model)
    if pixels is None:
        reason = 'the data preprocessor has no mean and std of the images'
        return dict.fromkeys(config.regions, reason)
    seen: dict[str, list[Tensor]] = {name: [] for name in config.regions}
    records = {name: RegionRecord() for name in config.regions}
    handles = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, inputs=inputs: inputs.extend(args[:1])
        )
        for name, inputs in seen.items()
    ]
    try:
        modes = {name: Observing(record) for name, record in records.items()}
        run_batches(model, modes, forward, islice(iter(batches), 1))
    finally:
        for handle in handles:
            handle.remove()
    reasons = {}
    for name, record in records.items():
        module = model.get_submodule(name)
        reasons[name] = _obstacle(module, record, seen[name], pixels)
        if not reasons[name]:
            _fold(model, name, record, pixels, forward, batches)
    return reasons


def normalization_of(model: nn.Module) -> Pixels | None:
    """What the model's data preprocessor does to images, if it says so."""
    preprocessor: Any = getattr(model, 'data_preprocessor', None)
    if not getattr(preprocessor, '_enable_normalize', False):
        return None
    mean, std = (
        getattr(preprocessor, key).double().flatten().tolist()
        for key in ('mean', 'std')
    )
    return Pixels.from_dict({'mean': mean, 'std': std})


def _obstacle(
    module: nn.Module, record: RegionRecord, inputs: list[Any], pixels: Pixels
) -> str:
    """Why a region cannot take pixels, or nothing."""
    if not inputs or not all(is_image(x, pixels) for x in inputs):
        return 'its input is no batch of images'
    for x in inputs:
        away = (pixels.exact(x) - pixels.centred(x)).abs().max()
        if away > _WHOLE:
            return f'its input is no image of 8-bit pixels (off by {float(away):.2g})'
    uses = record.consumers().get(PIXELS, [])
    if PIXELS in record.outputs or len(uses) != 1:
        return f'{len(uses)} operations look at its image'
    site, position = uses[0]
    if record.operations[site] != 'conv2d' or position != 0:
        return f'its first layer is a {record.operations[site]}'
    weight, bias = _first_layer(module, record)
    if weight is None or weight.shape[1] != len(pixels.mean):
        return 'its first convolution does not see all channels at once'
    if bias is None or bias.shape != weight.shape[:1]:
        return 'its first convolution has no bias of its own'
    return ''


def _first_layer(
    module: nn.Module, record: RegionRecord
) -> tuple[nn.Parameter | None, nn.Parameter | None]:
    """Weight and bias of the layer that looks at the image."""
    parameters = dict(module.named_parameters())
    ((site, _),) = record.consumers()[PIXELS]
    names = [str(s).removeprefix('parameter:') for s in record.sources[site][1:]]
    weight, bias = (parameters.get(name) for name in (*names, '', '')[:2])
    return weight, bias


def _fold(
    model: nn.Module,
    name: str,
    record: RegionRecord,
    pixels: Pixels,
    forward: Forward,
    batches: Iterable,
) -> None:
    """Rewrite the first layer, and make sure that the outputs stay."""
    module = model.get_submodule(name)

    def whole(_: Any, args: tuple) -> tuple:
        return pixels.normalized(pixels.centred(args[0])), *args[1:]

    calls = kept_calls(model, [name], forward, batches)
    handle = module.register_forward_pre_hook(whole)
    try:
        before = outputs_of(model, calls)
    finally:
        handle.remove()
    weight, bias = _first_layer(module, record)
    assert weight is not None and bias is not None
    mean, std = (torch.tensor(v).double().view(1, -1, 1, 1) for v in _pair(pixels))
    new = weight.detach().double().cpu() / std
    shift = (new * (CENTRE - mean)).sum((1, 2, 3))
    values = {n: p.detach() for n, p in module.named_parameters()}
    for old, value in ((weight, new), (bias, bias.detach().double().cpu() + shift)):
        key = next(n for n, p in module.named_parameters() if p is old)
        values[key] = value.to(old.device, old.dtype)
    replace_parameters(module, values)
    take_pixels(module, pixels)
    error = change(before, outputs_of(model, calls))
    if error > TOLERANCE:
        raise RuntimeError(
            f"region '{name}' does not compute the same from pixels (off by "
            f'{error:.2g} of its output): please report this model; '
            'quantization.pixels=False switches it off'
        )


def _pair(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return pixels.mean, pixels.std
