"""The images that calibration sees: of the training split, never the evaluation's."""

from .build import (
    build_calibration_dataloader,
    build_held_out_dataloader,
    build_judging_dataloader,
    describe_calibration,
    loaders_of,
)
from .datasets import explained
from .trained import refuse_evaluated

__all__ = [
    'build_calibration_dataloader',
    'build_held_out_dataloader',
    'build_judging_dataloader',
    'describe_calibration',
    'explained',
    'loaders_of',
    'refuse_evaluated',
]
