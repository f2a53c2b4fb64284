"""The plan of a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..intmath import QParams
from .scales import read_qparams, with_short_scale


@dataclass
class SitePlan:
    """The decisions for one site.

    Attributes:
        operation: Kind of the operation.
        output: Quantizer of the output.
        inputs: Quantizers that operands are requantized to first, by position.
            Operands without one are taken as they are.
        function: Registry dict of the integer function (non-linear sites).
        constants: Integer constants of the function, unless they depend on
            parameters: ints, or int64 tensors.
        made_for: Quantizer of the input that ``constants`` were made for. An input to
            which a mask was added may exceed its range; the constants for such an input
            are made at run time.
        input_shifts: Left shift of each channel of the first operand, after it was
            requantized as ``inputs`` says. Its key in plans is ``input_powers``.
    """

    operation: str
    output: QParams
    inputs: dict[int, QParams] = field(default_factory=dict)
    function: dict[str, Any] | None = None
    constants: dict[str, Any] | None = None
    made_for: QParams | None = None
    input_shifts: list[int] | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle; version 0.1 called ``input_shifts`` ``input_powers``."""
        if 'input_powers' in state:
            state = dict(state)
            state['input_shifts'] = state.pop('input_powers')
        self.__dict__.update(state)

    def constants_for(self, x: Any) -> dict[str, Any] | None:
        """The constants, if they are valid for an input with the quantizer ``x``."""
        made = self.made_for
        if self.constants is None or made is None or not isinstance(x, QParams):
            return self.constants
        within = made.qmin <= x.qmin and x.qmax <= made.qmax
        return self.constants if x.scale == made.scale and within else None

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain types."""
        data: dict[str, Any] = {
            'operation': self.operation,
            'output': with_short_scale(self.output.to_dict()),
        }
        if self.inputs:
            data['inputs'] = {
                str(i): with_short_scale(q.to_dict()) for i, q in self.inputs.items()
            }
        if self.function:
            data['function'] = dict(self.function)
        if self.constants:
            data['constants'] = {
                k: v.tolist() if isinstance(v, Tensor) else v
                for k, v in self.constants.items()
            }
        if self.made_for:
            data['made_for'] = self.made_for.to_dict()
        if self.input_shifts:
            data['input_powers'] = list(self.input_shifts)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SitePlan:
        """Inverse of :meth:`to_dict`."""
        constants = data.get('constants')
        if constants:
            constants = {
                k: torch.tensor(v, dtype=torch.int64) if isinstance(v, list) else v
                for k, v in constants.items()
            }
        return cls(
            data['operation'],
            read_qparams(data['output']),
            {int(i): read_qparams(q) for i, q in data.get('inputs', {}).items()},
            data.get('function'),
            constants,
            QParams.from_dict(data['made_for']) if 'made_for' in data else None,
            _checked_shifts(data['input_powers']) if 'input_powers' in data else None,
        )


def _checked_shifts(data: list[int]) -> list[int]:
    """``input_powers`` of a plan, which are small integers."""
    if not all(isinstance(p, int) and 0 <= p < 16 for p in data):
        raise ValueError('input_powers are integers from 0 to 15')
    return data
