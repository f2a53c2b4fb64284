"""The phase in front of all others: the first layer takes pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...modes.region import PIXELS
from ...pixels import CENTRE, MARK, Pixels, take_pixels
from ...record import RegionRecord
from ..batches import Forward
from ..config import QuantizationConfig
from ..phases.equalize import replace_parameters
from .image_look import ImageLook, look_at_images
from .kept_calls import change, outputs_of

#: Relative difference of the float outputs that zeros in the place of exact means
#: make, where the region pads its image.
TOLERANCE = 1e-2
#: The same, where padding is marked: float32 sums of other numbers make it.
MARKED_TOLERANCE = 1e-3


def fold_normalization(
    model: nn.Module,
    config: QuantizationConfig,
    forward: Forward,
    batches: Iterable,
    gather: Callable[[Any], list] = lambda mine: [mine],
) -> dict[str, str]:
    """Let regions take the pixels that their images were normalized from, exactly.

    With ``x = (p - mean) / std`` by channel, the first convolution gets the weights
    ``w / std`` and the bias ``b + sum w (128 - mean) / std``, and ``p - 128`` as input.
    Where images were padded after that, it gets a channel more, which marks what was
    padded, and whose weight makes 0.0 of the pixels there.

    Args:
        model: The float model; gets new parameters.
        config: What to quantize.
        forward: Runs a batch.
        batches: Calibration batches of this rank, gone through once at most: all images
            have to be pixels.
        gather: Gives what each rank has, in their order.

    Returns:
        By region why it goes on with the normalized images; empty: it takes pixels.

    Raises:
        RuntimeError: If the float model does not compute what it did before.
    """
    pixels = normalization_of(model)
    if pixels is None:
        reason = 'the data preprocessor has no mean and std of the images'
        return dict.fromkeys(config.regions, reason)
    looks = look_at_images(model, config.regions, pixels, forward, batches)
    mine = {
        name: (
            look.reason or _obstacle(model.get_submodule(name), look.record, pixels),
            look.padded,
        )
        for name, look in looks.items()
    }
    ranks, reasons = gather(mine), {}
    for name, look in looks.items():
        found = [rank[name] for rank in ranks]
        reasons[name] = next((reason for reason, _ in found if reason), '')
        if not reasons[name]:
            marked = any(has for _, has in found) and not pixels.zero_point_is_exact
            _fold(model, name, look, replace(pixels, marked=marked))
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


def _obstacle(module: nn.Module, record: RegionRecord, pixels: Pixels) -> str:
    """Why a region cannot take pixels, or nothing."""
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


def _fold(model: nn.Module, name: str, look: ImageLook, pixels: Pixels) -> None:
    """Rewrite the first layer, and make sure that the outputs stay."""
    module = model.get_submodule(name)
    assert look.call is not None

    def whole(_: Any, args: tuple) -> tuple:
        return pixels.normalized(pixels.centred(args[0])), *args[1:]

    handle = module.register_forward_pre_hook(whole)
    try:
        before = outputs_of(model, [look.call])
    finally:
        handle.remove()
    weight, bias = _first_layer(module, look.record)
    assert weight is not None and bias is not None
    new, shift = _folded(weight.detach().double().cpu(), pixels)
    values = {n: p.detach() for n, p in module.named_parameters()}
    for old, value in ((weight, new), (bias, bias.detach().double().cpu() + shift)):
        key = next(n for n, p in module.named_parameters() if p is old)
        values[key] = value.to(old.device, old.dtype)
    replace_parameters(module, values)
    take_pixels(module, pixels)
    error = change(before, outputs_of(model, [look.call]))
    if error > (MARKED_TOLERANCE if pixels.marked else TOLERANCE):
        raise RuntimeError(
            f"region '{name}' does not compute the same from pixels (off by "
            f'{error:.2g} of its output): please report this model; '
            'quantization.pixels=False switches it off'
        )


def _folded(weight: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """The weight for pixels, and what the bias gets; float64."""
    mean, std = (
        torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1)
        for v in (pixels.mean, pixels.std)
    )
    new = weight / std
    shift = (new * (CENTRE - mean)).sum((1, 2, 3))
    if pixels.marked:
        nearest = torch.tensor(pixels.zero_point[:-1]).view(1, -1, 1, 1) + CENTRE
        rest = (new * (mean - nearest)).sum(1, keepdim=True)
        new = torch.cat([new, rest / MARK], 1)
    return new, shift
