"""The device of a run: the one that mmengine finds, or the one that the user names."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.device import utils as mmengine_devices
from mmengine.logging import print_log

from ...calibration import ConfigError


@contextmanager
def on_device(name: str | None, launcher: str = 'none') -> Iterator[torch.device]:
    """Let mmengine put models on a device while the block runs.

    mmengine takes the first accelerator that it finds, and has no option for another
    one; it looks into a variable of its own.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ...; None: what mmengine finds.
        launcher: mmengine's launcher, which numbers the GPUs of its processes itself.

    Raises:
        ConfigError: If there is no such device here.
    """
    if name is None:
        yield torch.device(get_device())
        return
    device = checked_device(name, launcher)
    before, index = mmengine_devices.DEVICE, None
    if device.type == 'cuda' and device.index is not None:
        index = torch.cuda.current_device()
        torch.cuda.set_device(device)
    mmengine_devices.DEVICE = device.type
    try:
        yield device
    finally:
        mmengine_devices.DEVICE = before
        if index is not None:
            torch.cuda.set_device(index)


def checked_device(name: str, launcher: str = 'none') -> torch.device:
    """The device of a name.

    Raises:
        ConfigError: If there is none of this name, or not here; see :func:`on_device`.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f'--device {name}: there is no such device; write cpu, cuda or cuda:1 (the '
            'second GPU)'
        ) from error
    if device.type == 'cpu':
        return device
    if launcher != 'none' and device.index is not None:
        raise ConfigError(
            f'--device {name}: a launcher gives each process a GPU of its own; write '
            f'--device {device.type}, and name GPUs in CUDA_VISIBLE_DEVICES'
        )
    count, why = _count(device.type)
    if not count:
        raise ConfigError(f'--device {name}: {why}; write --device cpu')
    if (device.index or 0) >= count:
        raise ConfigError(
            f'--device {name}: torch sees {count} of them here, from {device.type}:0 '
            f'to {device.type}:{count - 1}'
        )
    return device


def _count(kind: str) -> tuple[int, str]:
    """How many devices of a kind there are, and why there is none."""
    if kind == 'cuda' and not torch.backends.cuda.is_built():
        return 0, f'this torch ({torch.__version__}) is built without CUDA'
    module = getattr(torch, kind, None)
    try:
        count = module.device_count() if module and module.is_available() else 0
    except Exception as error:  # drivers raise whatever they like
        return 0, f'torch cannot use any here ({error})'
    return count, f'torch finds none here: no {kind} device, or no driver for it'


def log_device(device: torch.device) -> None:
    """Log which device a run takes, and what that means for its figures."""
    if device.type == 'cpu':
        print_log('device: cpu', 'current')
        return
    name = torch.cuda.get_device_name() if device.type == 'cuda' else device.type
    print_log(
        f'device: {device.type} ({name}). Sums of floats on it differ from those of a '
        'CPU in the last bits, and so may scales and choices that calibration makes; '
        'the integers of a given plan do not',
        'current',
        logging.INFO,
    )
