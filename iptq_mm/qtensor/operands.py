"""What rules check before an operation gets its operands."""

from __future__ import annotations

from typing import Any

from ..operations import OPERATIONS
from .errors import UnsupportedOperationError
from .tensor import QTensor

#: What model code gives: a QTensor as a rule, or None, a number, a plain tensor.
Operand = Any


def run_operation(
    mode: Any, kind: str, operands: list[Operand], attributes: dict
) -> QTensor:
    """Hand an operation of ``OPERATIONS`` to the mode.

    Raises:
        UnsupportedOperationError: If an operand is a plain float tensor.
    """
    for operand in operands:
        if not (operand is None or isinstance(operand, QTensor)):
            raise UnsupportedOperationError(
                f'{kind} of a float tensor that is neither parameter nor input of the '
                'region'
            )
    return mode.run(OPERATIONS[kind], operands, attributes)


def check_parameters(weight: Operand, bias: Operand, whole: bool) -> None:
    """Make sure that a layer's parameters are parameters.

    Args:
        weight: Its weight.
        bias: Its bias.
        whole: Whether the weight has to be one parameter as it stands.

    Raises:
        UnsupportedOperationError: If they depend on the input, or the weight is cut.
    """
    for operand in (weight, bias):
        if isinstance(operand, QTensor) and not operand.constant:
            raise UnsupportedOperationError(
                'a weight or bias that depends on the input'
            )
    if whole and isinstance(weight, QTensor) and not weight.whole:
        raise UnsupportedOperationError(
            'a weight that is cut or computed from parameters: give the layer the '
            'weight as it is (after weight or spectral norm by torch.nn.utils.'
            "parametrize.remove_parametrizations(layer, 'weight')), or choose a "
            'smaller region in quantization.regions'
        )
