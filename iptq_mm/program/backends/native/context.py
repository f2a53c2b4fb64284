"""What emitters stand on: the context that they get, their registry, their refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ....intmath.dyadic import Dyadic
from ....native.storage import Storage, storage_for
from ...ir.graph import Node, Program, Value
from .layout.steps import ReferenceStep, Step
from .layout.tensor_ref import TensorRef

#: The first magnitude that 32 bits do not hold.
INT32 = 2**31


class Unsupported(Exception):
    """There is no kernel for a node.

    The driver catches it, undoes what the emitter did, and lets the reference compute
    the node. Users read the reason in the log.

    Args:
        case: For what there is no kernel, a noun phrase: "vectors" becomes
            "matmul has no kernel for vectors". Empty: for the whole kind of node.
        remedy: What the user can do about it, a clause; empty: nothing.
    """

    def __init__(self, case: str = '', remedy: str = '') -> None:
        super().__init__(case, remedy)
        self.case, self.remedy = case, remedy

    def reason(self, what: str) -> str:
        """The reason as a clause whose subject is ``what``."""
        case = f' for {self.case}' if self.case else ''
        remedy = f': {self.remedy}' if self.remedy else ''
        return f'{what} has no kernel{case}{remedy}'

    def __str__(self) -> str:
        return self.reason('the program')


#: Emits the steps of a node, and returns where its result is.
Emitter = Callable[['EmitterContext', Node], TensorRef]

#: Emitters by kind of node; :mod:`.compiler` imports the files that fill it.
EMITTERS: dict[str, Emitter] = {}


def emitter(*kinds: str) -> Callable[[Emitter], Emitter]:
    """Register the emitter of kinds of nodes."""

    def register(function: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


class EmitterContext:
    """The program so far: what an emitter may read, and where it adds its steps.

    Args:
        program: The program.

    Attributes:
        program: The program.
        steps: All steps so far, in the order of execution.
        refs: Where each value is that has been made, by its number.
        node: The node that is being lowered; None: outputs are being copied.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps: list[Step | ReferenceStep] = []
        self.refs: dict[int, TensorRef] = {}
        self.node: Node | None = None

    def value(self, node: Node) -> Value:
        """The result of a node: dtype, shape and bounds."""
        return self.program.values[node.output]

    def operand(self, node: Node, index: int) -> TensorRef:
        """Where an operand is.

        Raises:
            Unsupported: If it is a constant, which has no buffer, or has more than 32
                bits.
        """
        operand = node.operands[index]
        if isinstance(operand, str):
            raise Unsupported('a constant operand')
        if self.program.values[operand].bound >= INT32:
            raise Unsupported('operands of more than 32 bits')
        return self.refs[operand]

    def constant(self, node: Node, name: str) -> Tensor:
        """A constant of a node that is a tensor."""
        value = node.constants[name]
        assert isinstance(value, str)
        return self.program.tensors[value]

    def number(self, node: Node, name: str) -> int:
        """A constant of a node that is a number."""
        value = node.constants[name]
        assert isinstance(value, int)
        return value

    def factor(self, node: Node) -> Dyadic:
        """The dyadic factor ``multiplier / 2**shift`` of a node's requantization."""
        return Dyadic(self.number(node, 'multiplier'), self.number(node, 'shift'))

    def tensor(self, constant: int | str) -> Tensor:
        """A constant as a tensor; a number as one without dimensions."""
        if isinstance(constant, int):
            return torch.tensor(constant)
        return self.program.tensors[constant]

    def storage(self, value: Value) -> Storage:
        """The native storage of a value.

        Raises:
            Unsupported: If there is none.
        """
        try:
            return storage_for(value.low, value.high)
        except OverflowError as error:
            raise Unsupported(
                f'integers in {value.low}..{value.high}: 32 bits do not hold them'
            ) from error

    def append(self, step: Step) -> None:
        """Add a step; unlike :meth:`emit`, its result names no producer."""
        step.node = self.node
        self.steps.append(step)

    def emit(self, step: Step, result: TensorRef) -> TensorRef:
        """Add a step that the consumer of its result may change.

        Returns:
            The result, with the step as its producer.
        """
        self.append(step)
        return replace(result, producer=step)

    def move_to_end(self, step: Step) -> None:
        """Run a step after all others: it now reads what they made."""
        self.steps.remove(step)
        self.steps.append(step)
