"""What an operation gets: QTensors, and weights that are whole parameters."""

import pytest
import torch

from iptq_mm.modes.base import FloatMode
from iptq_mm.qtensor import QTensor, UnsupportedOperationError
from iptq_mm.qtensor.rules.operands import check_parameters, run_operation


def qtensor(*shape, **flags):
    return QTensor(torch.ones(shape), None, 'made', **flags)


class Counting(FloatMode):
    """Keeps what it was asked to run."""

    def __init__(self):
        self.calls = []

    def run(self, operation, operands, attributes):
        self.calls.append((operation.kind, operands, attributes))
        return operands[0]


def test_an_operation_is_handed_to_the_mode():
    mode, x = Counting(), qtensor(2, 3)
    assert run_operation(mode, 'linear', [x, x, None], {'a': 1}) is x
    ((kind, operands, attributes),) = mode.calls
    assert kind == 'linear' and operands == [x, x, None] and attributes == {'a': 1}


@pytest.mark.parametrize('operand', [torch.ones(3), torch.ones(3).int(), 2.0])
def test_plain_tensors_are_refused(operand):
    mode = Counting()
    with pytest.raises(
        UnsupportedOperationError, match='cat has an operand that is neither'
    ):
        run_operation(mode, 'cat', [qtensor(3), operand], {'dim': 0})
    assert not mode.calls


def test_parameters():
    parameter, made = qtensor(4, 3, constant=True), qtensor(4, 3)
    parameter.whole = True  # as a region says it
    part = parameter.like(parameter.payload[:2])
    check_parameters(parameter, None, whole=True)
    check_parameters(parameter, part, whole=True)
    check_parameters(part, None, whole=False)
    for pair in ((made, None), (parameter, made)):
        with pytest.raises(UnsupportedOperationError, match='depends on the input'):
            check_parameters(*pair, whole=False)
    with pytest.raises(UnsupportedOperationError, match='cut or computed'):
        check_parameters(part, None, whole=True)
