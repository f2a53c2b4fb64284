"""The image format that a model's data preprocessor produces, from its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ...calibration.rewrites.fold_normalization import normalization_of
from ...program.ir.image_format import ImageFormat
from ..loading.scopes import type_name

_FLIPPED = {'RGB': 'BGR', 'BGR': 'RGB'}


def image_format(
    model: nn.Module, pipeline: Sequence[Mapping[str, Any]] = ()
) -> ImageFormat | None:
    """How images are made that regions get.

    Args:
        model: An mm model.
        pipeline: The steps of its test pipeline.

    Returns:
        None where the data preprocessor does not normalize.
    """
    pixels = normalization_of(model)
    if pixels is None:
        return None
    loaded = 'grey' if len(pixels.mean) == 1 else loaded_order(pipeline)
    preprocessor: Any = model.data_preprocessor
    # mmengine and mmdet have the first, mmpretrain the second.
    flips = getattr(preprocessor, '_channel_conversion', False) or getattr(
        preprocessor, 'to_rgb', False
    )
    order = _FLIPPED.get(loaded, loaded) if flips else loaded
    return ImageFormat(order, pixels.mean, pixels.std)


def loaded_order(pipeline: Sequence[Mapping[str, Any]]) -> str:
    """In which order channels leave a pipeline; empty where the data set decides."""
    order = ''
    for step in pipeline:
        kind = type_name(step['type']).rpartition('.')[2]
        if kind.startswith('LoadImage'):
            # mmcv gives BGR, whatever decodes the file.
            order = 'grey' if step.get('color_type') == 'grayscale' else 'BGR'
        if step.get('to_bgr'):
            order = 'BGR'
        if step.get('to_rgb'):
            order = 'RGB'
    return order
