"""Checks of operands before an operation gets them."""

from __future__ import annotations

from typing import Any

from ...operations import OPERATIONS
from ..errors import SMALLER_REGION, unsupported
from ..mode import Mode
from ..tensor import QTensor

#: An argument of a torch function: a QTensor, a plain tensor, a number or None.
Operand = Any


def run_operation(
    mode: Mode, kind: str, operands: list[Operand], attributes: dict
) -> QTensor:
    """The result of an operation of ``OPERATIONS``, which the mode computes.

    Raises:
        UnsupportedOperationError: If an operand is a plain float tensor.
    """
    for operand in operands:
        if not (operand is None or isinstance(operand, QTensor)):
            raise unsupported(
                f'{kind} has an operand that is neither a parameter nor computed from '
                'the input of the region',
                'register it as a parameter, pass it to forward as a tensor, keep '
                'float the module that computes with it (if it is of one that stays '
                f'float), or {SMALLER_REGION}',
            )
    return mode.run(OPERATIONS[kind], operands, attributes)


def check_parameters(weight: Operand, bias: Operand, whole: bool) -> None:
    """Make sure that a layer's weight and bias are parameters.

    Args:
        weight: The weight of the layer.
        bias: Its bias.
        whole: Whether the weight has to be one complete parameter. A part of one would
            need scales of its own.

    Raises:
        UnsupportedOperationError: If one of them depends on the input, or the weight
            is not complete.
    """
    for operand in (weight, bias):
        if isinstance(operand, QTensor) and not operand.constant:
            raise unsupported('a weight or bias depends on the input of the region')
    if whole and isinstance(weight, QTensor) and not weight.whole:
        raise unsupported(
            'a weight is cut or computed from parameters',
            'give the layer the parameter itself (after weight or spectral norm by '
            'torch.nn.utils.parametrize.remove_parametrizations(layer, '
            f"'weight')), or {SMALLER_REGION}",
        )
