"""The programs of a case as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from iptq_mm.modes import regions_in
from iptq_mm.program import save_program, trace

from .cases import Case


def save_programs(case: Case, folder: Path) -> None:
    """Write ``0.program`` and so on, a region each, and the images as ``image.pt``.

    Args:
        case: A classifier, or a part of a model.
        folder: Where to write.

    Raises:
        ValueError: If it is a whole detector: more than programs goes on there.
    """
    if case.is_detector:
        raise ValueError('a whole detector is more than a chain of programs')
    model = case.integers
    calls: list[tuple[nn.Module, tuple, dict]] = []
    handles = [
        model.get_submodule(name).register_forward_pre_hook(
            _noting(calls), with_kwargs=True
        )
        for name in regions_in(model)
    ]
    try:
        case.runner(model)()
    finally:
        for handle in handles:
            handle.remove()
    for number, (module, args, kwargs) in enumerate(calls):
        with torch.no_grad():
            program = trace(module, args, kwargs).program
        save_program(program, folder / f'{number}.program')
    torch.save(case.images(), folder / 'image.pt')


def _noting(calls: list) -> Callable[[nn.Module, tuple, dict], Any]:
    """A hook that appends module and arguments."""
    return lambda module, args, kwargs: calls.append((module, args, kwargs))
