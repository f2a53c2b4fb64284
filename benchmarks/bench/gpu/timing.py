"""How long models take on a device."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from iptq_mm.modes import regions_in
from iptq_mm.program import use_backend

from .subjects import Subject

#: Who is timed: the integers, compiled and operation by operation, and PyTorch.
CONTENDERS = ('integer_compiled', 'integer_eager', 'fp16', 'fp16_compiled')
#: Calls before the first that counts.
_WARM_UP = 3
_FEWEST = 5


def ready(
    subject: Subject, contender: str, device: torch.device, count: int
) -> Callable[[], Any]:
    """A contender on a device, as a function that predicts one batch.

    Classifiers take normalized images that lie on the device. Detectors take pixels
    there, and end with boxes and masks.

    Args:
        subject: The model.
        contender: One of :data:`CONTENDERS`.
        device: The device.
        count: Images of the batch.
    """
    integer = contender.startswith('integer')
    model: Any = copy.deepcopy(subject.integers if integer else subject.floats)
    model = model.to(device).eval() or model
    if contender == 'integer_compiled':
        use_backend(model, 'compiled')
    if contender == 'fp16_compiled':
        parts = regions_in(subject.integers) if subject.is_detector else ['']
        for part in parts:  # what stands between them depends on the number of boxes
            model.get_submodule(part).compile()
    batch = subject.batch(count)
    if subject.is_detector:
        batch['inputs'] = [x.to(device) for x in batch['inputs']]
        half = torch.autocast(device.type, torch.float16, enabled=not integer)

        def detect() -> Any:
            with torch.no_grad(), half:
                return model.test_step(copy.deepcopy(batch))

        return detect
    images = model.data_preprocessor(batch, False)['inputs']
    if not integer:
        model, images = model.half(), images.half()
    return torch.no_grad()(lambda: model(images))


def timed(
    call: Callable[[], Any],
    device: torch.device,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The median time of a call, in seconds.

    Args:
        call: What is timed; the device has finished it when the clock is read.
        device: The device.
        seconds: How long to repeat it.
        clock: Reads the time in seconds.
    """
    for _ in range(_WARM_UP):
        call()
    _wait(device)
    spent: list[float] = []
    end = clock() + seconds
    while len(spent) < _FEWEST or clock() < end:
        began = clock()
        call()
        _wait(device)
        spent.append(clock() - began)
    return statistics.median(spent)


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def without_compiled() -> None:
    """Forget compiled code, so that the next contender has the memory."""
    torch.compiler.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
