"""The audit of a model: all its regions, and what is left outside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...kept_float import kept_float
from ...modes import bound_region
from ...qtensor import UnsupportedOperationError
from ...utils.trees import tree_leaves
from ..tracing.trace import trace
from .outside import FloatPart, Watch, float_parts, outside
from .programs import Finding, ProgramAudit, audit_program

#: A region without input shapes has no program.
NEVER_RAN = 'the example never ran it: no program, nothing proved'


@dataclass
class ModelAudit:
    """What was found about a model.

    Attributes:
        programs: Of each region and each set of input shapes.
        outside: What stays float.
        unseen: Regions that the example did not reach, or that cannot be traced.
        kept_float: Paths of the modules in regions that stay float.
    """

    programs: list[ProgramAudit]
    outside: list[FloatPart]
    unseen: list[Finding]
    kept_float: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """All that does not hold."""
        return [*self.unseen, *(f for p in self.programs for f in p.findings)]

    @property
    def holds(self) -> bool:
        """Whether everything was proved."""
        return not self.findings


def audit_model(model: nn.Module, example: Callable[[], object]) -> ModelAudit:
    """Prove every region of a model.

    Args:
        model: A quantized model.
        example: Runs it once. Only the shapes that its regions get matter: the proof
            is for all inputs of these shapes.

    Raises:
        ValueError: If no part of the model is a region.
    """
    regions = {p: m for p, m in outside(model) if bound_region(m) is not None}
    if not regions:
        raise ValueError('the model has no quantized region: quantize it first')
    watch = Watch()
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), watch.watching(model):
            example()
    finally:
        model.train(training)
    programs: list[ProgramAudit] = []
    unseen: list[Finding] = []
    for path, module in regions.items():
        calls = {_shapes(call): call for call in watch.calls.get(path, [])}
        if not calls:
            unseen.append(Finding(path, 'all', 'forward', NEVER_RAN))
        for args, kwargs in calls.values():
            try:
                program = trace(module, args, kwargs).program
            except UnsupportedOperationError as error:
                unseen.append(Finding(path, 'all', 'forward', str(error)))
            else:
                programs.append(audit_program(program))
    kept = [f'{p}.{k}' if p else k for p, m in regions.items() for k in kept_float(m)]
    return ModelAudit(programs, float_parts(model, watch), unseen, kept)


def _shapes(call: tuple[tuple, dict]) -> tuple:
    """What of a call a program depends on, of its tensors."""
    return tuple(tuple(x.shape) for x in tree_leaves(call) if isinstance(x, Tensor))
