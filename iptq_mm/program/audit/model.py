"""The audit of a model: all its regions, and what is left outside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...kept_float import kept_float, quantized_parameters
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
        integer_macs: Multiplications with additions of the products of all calls of
            regions in the example.
        integer_parameters: Parameters that are integers.
    """

    programs: list[ProgramAudit]
    outside: list[FloatPart]
    unseen: list[Finding]
    kept_float: list[str] = field(default_factory=list)
    integer_macs: int = 0
    integer_parameters: int = 0

    @property
    def float_macs(self) -> int:
        """Multiplications with additions of products of floats in the example."""
        return sum(part.macs for part in self.outside)

    @property
    def float_parameters(self) -> int:
        """Parameters that stay float."""
        return sum(part.parameters for part in self.outside)

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
    macs = 0
    for path, module in regions.items():
        calls = {_shapes(call): call for call in watch.calls.get(path, [])}
        times = Counter(map(_shapes, watch.calls.get(path, [])))
        if not calls:
            unseen.append(Finding(path, 'all', 'forward', NEVER_RAN))
        for shapes, (args, kwargs) in calls.items():
            try:
                program = trace(module, args, kwargs).program
            except UnsupportedOperationError as error:
                unseen.append(Finding(path, 'all', 'forward', str(error)))
            else:
                programs.append(audit_program(program))
                macs += times[shapes] * programs[-1].census.operations['mac']
    kept = [f'{p}.{k}' if p else k for p, m in regions.items() for k in kept_float(m)]
    parameters = (p for m in regions.values() for _, p in quantized_parameters(m))
    learned = sum(p.numel() for p in parameters)
    outer = float_parts(model, watch)
    return ModelAudit(programs, outer, unseen, kept, macs, learned)


def _shapes(call: tuple[tuple, dict]) -> tuple:
    """What of a call a program depends on, of its tensors."""
    return tuple(tuple(x.shape) for x in tree_leaves(call) if isinstance(x, Tensor))
