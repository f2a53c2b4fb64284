"""The phase reconstruct: integer blocks learn to return the outputs of float ones."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ...modes import bound_region
from ...modes.real_parameters import derive_again
from ...modes.training.mode import Kernels
from ...modes.training.part import parameters_of
from ...plan import RegionPlan
from ...utils.decibels import decibels
from ..backward import Saved
from ..batches import Forward
from ..config.parts import ReconstructionConfig
from ..kept_tensors import Memory
from ..reconstruction.learn import Learner
from ..reconstruction.passes import FloatModel
from ..reconstruction.survey import survey
from ..reconstruction.walk import Walk

#: By name of a part, its integers by name in the region.
Learned = dict[str, dict[str, Tensor]]


@dataclass
class Reconstructed:
    """What a reconstruction did.

    Attributes:
        decibels: By part, the weighted SQNR of what it returns, before and after.
        memory_mb: Most MiB of kept activations in memory.
        spilled_mb: MiB that were written to the disk.
    """

    decibels: dict[str, tuple[float, float]] = field(default_factory=dict)
    memory_mb: float = 0.0
    spilled_mb: float = 0.0


def reconstruct(
    model: nn.Module,
    config: ReconstructionConfig,
    plans: Mapping[str, RegionPlan],
    twins: Mapping[str, nn.Module],
    forward: Forward,
    batches: Iterable[Any],
    without: Mapping[str, Container[str]] | None = None,
    learned: Learned | None = None,
    keep: Callable[[], None] = lambda: None,
    kernels: Callable[[], Kernels | None] = lambda: None,
    seed: int = 0,
    shown: Callable[[Sequence[Any]], Iterable[Any]] = lambda parts: parts,
) -> Reconstructed:
    """Let the parts of integer regions learn the outputs of the float ones, in place.

    The parts are the blocks of transformers, and what lies between them; see
    :func:`~iptq_mm.calibration.reconstruction.parts.parts_of`. They learn one after
    another, each from what the integer parts before it return.

    Args:
        model: The model, its regions in integer mode.
        config: How they learn.
        plans: By region.
        twins: The float regions.
        forward: Runs a batch.
        batches: Calibration batches of this rank.
        without: By region, parameters that nothing may change.
        learned: Parts that have learned before, which is not done again. Gets the
            integers of the others.
        keep: Called after each part that has learned.
        kernels: Makes what computes the sites of a part faster than torch.
        seed: Decides the order in which parts see the batches, and the inputs that are
            those of the float model.
        shown: Goes through the parts, and shows how far it is.
    """
    learned = {} if learned is None else learned
    memory = Memory(config.memory_limit_mb)
    saved = Saved(config.memory_limit_mb)
    floats = FloatModel(model, twins, plans, saved)
    parts = survey(model, floats, forward, batches, config.guided, without or {})
    walk = Walk(model, floats, forward, batches, memory, bool(config.float_share))
    done = Reconstructed()
    for part in shown(parts):
        began = time.perf_counter()
        module = model.get_submodule(part.region)
        mine = parameters_of(module, part.path)
        walk.to(part)
        if part.name in learned:
            with torch.no_grad():
                for name, value in learned[part.name].items():
                    mine[name].copy_(value)
        else:
            wanted = dict(twins[part.region].named_parameters())
            learner = Learner(module, part.path, config, wanted, kernels())
            errors = learner.learn(walk.samples(), zlib.crc32(part.name.encode(), seed))
            before, after = (decibels(1.0, error) for error in errors)
            done.decibels[part.name] = round(before, 2), round(after, 2)
            learned[part.name] = {n: p.detach().cpu().clone() for n, p in mine.items()}
            keep()
            spent = time.perf_counter() - began
            print_log(
                f'reconstruct: {part.name}, {before:.1f} to {after:.1f} dB, '
                f'{spent:.0f} s',
                'current',
            )
        region = bound_region(module)
        derive_again(module, region.mode if region else None)
    if not parts:
        print_log('reconstruct: no part is called once in a pass', 'current')
    done.memory_mb = round(memory.peak / 2**20, 1)
    done.spilled_mb = round(memory.spilled / 2**20, 1)
    return done
