"""The programs of a detector's regions, and the settings that name them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ....calibration import ConfigError
from ....modes import bound_region, regions_in
from ....program import Program, trace
from ....program.ir.image_format import ImageFormat
from ..program import joined_program
from .settings import box_heads, detector_settings, mask_heads

#: Regions whose programs are joined to the first one.
TRUNK = ('backbone', 'neck', 'rpn_head')
#: Of how many boxes a program is at most.
BOXES, MASKS = 256, 8


@dataclass(frozen=True)
class DetectorPrograms:
    """A detector for the runtimes.

    Attributes:
        settings: The contents of ``detector.json``.
        programs: By the names of their files.
    """

    settings: dict[str, Any]
    programs: dict[str, Program]


def detector_programs(
    model: nn.Module,
    batch: Any,
    images: ImageFormat | None,
    classes: Sequence[str] = (),
) -> DetectorPrograms:
    """The programs of a two-stage detector for images of one size.

    Args:
        model: A detector of mmdet all of whose regions are quantized.
        batch: An example, as the data loader gives it.
        images: What images its data preprocessor gives.
        classes: Names of the classes.

    Raises:
        ConfigError: If a part is not quantized, or none that the runtimes have.
    """
    settings = detector_settings(model)
    roi: Any = model.roi_head
    heads = [*box_heads(roi), *(mask_heads(roi) if roi.with_mask else [])]
    missing = [name for name in TRUNK if name not in regions_in(model)]
    if missing or any(bound_region(head) is None for head in heads):
        raise ConfigError(
            'a detector is exported whole if all of it is quantized: set '
            'quantization.regions to backbone, neck, rpn_head, roi_head.bbox_head and '
            'roi_head.mask_head, as configs/demo/swin_cascade_demo_whole-w8a8.py does'
        )
    trunk = joined_program(model, batch, TRUNK, ['neck'], images)
    if trunk.inputs[0].pixels is None:
        raise ConfigError(
            'images enter the detector as normalized floats: quantize it with '
            'quantization.pixels=True'
        )
    height, width = trunk.values[trunk.inputs[0].value].shape[2:]
    shape = tuple(batch['data_samples'][0].img_shape[:2])
    if shape != (height, width):
        raise ConfigError(
            f'images of {shape} are padded to {(height, width)}: name a size that is '
            'not padded with --shape'
        )
    programs = {'trunk.iptq': trunk}
    settings |= {'image': [height, width], 'classes': list(classes)}
    settings['trunk'] = _trunk(trunk, settings)
    channels = trunk.values[trunk.outputs[0].value].shape[1]
    boxes = settings['boxes']
    count = _at_once(settings['proposals']['count'], BOXES)
    for number, head in enumerate(box_heads(roi)):
        program = _head(head, count, channels, boxes['pool']['cells'])
        found = [program.values[port.value].shape[1] for port in program.outputs]
        box_head: Any = head
        scores = found.index(box_head.num_classes + 1)
        name = f'boxes_{number}.iptq'
        boxes['stages'][number] |= {
            'file': name,
            'scores': scores,
            'deltas': 1 - scores,
        }
        programs[name] = program
    masks = settings['masks']
    for number, head in enumerate(mask_heads(roi) if masks else []):
        count = _at_once(boxes['count'], MASKS)
        name = f'masks_{number}.iptq'
        programs[name] = _head(head, count, channels, masks['pool']['cells'])
        masks['stages'][number]['file'] = name
    return DetectorPrograms(settings, programs)


def _at_once(count: int, most: int) -> int:
    """Boxes of a call, where calls of one size are to hold ``count``."""
    return math.ceil(count / math.ceil(count / most))


def _head(head: nn.Module, count: int, channels: int, cells: int) -> Program:
    traced = trace(head, (torch.zeros(count, channels, cells, cells),))
    if traced.floats:
        raise ConfigError(
            f'{traced.floats[0].path!r} is kept float (quantization.overrides): '
            'quantize without keep_float to export it'
        )
    return traced.program


def _trunk(program: Program, settings: dict[str, Any]) -> dict[str, Any]:
    """Which outputs are maps, scores and deltas of anchors."""
    levels = len(settings['proposals']['anchors'])
    shapes = [program.values[port.value].shape for port in program.outputs]
    if len(shapes) != 3 * levels:
        raise ConfigError(
            f'neck and rpn_head give {len(shapes)} tensors for {levels} levels: '
            'three for each are expected'
        )
    first = range(levels, 3 * levels)
    anchors = [len(base) for base in settings['proposals']['anchors']]
    made: dict[str, Any] = {'file': 'trunk.iptq', 'maps': list(range(levels))}
    for name, numbers in (('scores', 1), ('deltas', 4)):
        wanted = {n * numbers for n in anchors}
        made[name] = [i for i in first if shapes[i][1] in wanted]
    return made
