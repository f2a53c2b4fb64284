"""What was decided for one site."""

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
        inputs: Quantizer that an operand is brought to first, by its position;
            operands not named are taken as they are.
        function: Registry dict of the integer function (non-linear sites).
        constants: Its integer constants, where they do not depend on
            parameters: ints or lists of ints.
        made_for: Quantizer of the input that they were made for. A mask may
            bring inputs beyond it, which get constants of their own.
        input_powers: Power of two by which each channel of the first operand is
            multiplied, once it is what ``inputs`` says.
    """

    operation: str
    output: QParams
    inputs: dict[int, QParams] = field(default_factory=dict)
    function: dict[str, Any] | None = None
    constants: dict[str, Any] | None = None
    made_for: QParams | None = None
    input_powers: list[int] | None = None

    def constants_for(self, x: Any) -> dict[str, Any] | None:
        """The constants, if they serve an input of this quantizer."""
        made = self.made_for
        if self.constants is None or made is None or not isinstance(x, QParams):
            return self.constants
        within = made.qmin <= x.qmin and x.qmax <= made.qmax
        return self.constants if x.scale == made.scale and within else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
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
        if self.input_powers:
            data['input_powers'] = list(self.input_powers)
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
            _powers(data['input_powers']) if 'input_powers' in data else None,
        )


def _powers(data: list[int]) -> list[int]:
    """``input_powers`` that were written."""
    if not all(isinstance(p, int) and 0 <= p < 16 for p in data):
        raise ValueError('input_powers are integers from 0 to 15')
    return data
