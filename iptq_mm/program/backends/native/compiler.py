"""From an integer program to native steps.

Nodes are taken in order. Moves change the place of a value only; what needs its
integers side by side has them copied. A step whose result nobody but one node needs
may be changed by that node: this is how a table, a residual add or a reordering of
rows becomes part of a product. What has no kernel is left to the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ....native.storage import Storage, storage_for, storage_of
from ...ir.graph import Node, Program, Value
from ...ir.moves import MOVES
from .copying import copied
from .fallback import fallback
from .fusion.attention_pattern import Chain, find_attention
from .layout.located import Located, collapsed
from .layout.steps import Call, Step

#: Beyond what 32 bits hold.
INT32 = 2**31


class Unsupported(Exception):
    """There is no kernel for a node; the message says why."""


#: Makes the steps of a node and says where its result is.
Emitter = Callable[['Compiler', Node], Located]

#: By kind of node.
EMITTERS: dict[str, Emitter] = {}


def emitter(*kinds: str) -> Callable[[Emitter], Emitter]:
    """Register the emitter of kinds of nodes."""

    def register(function: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


class Compiler:
    """Compiles one program.

    Args:
        program: The program.

    Raises:
        Unsupported: If an input has more than 32 bits.

    Attributes:
        program: The program.
        steps: What to do, in order.
        located: Values by number.
        inputs: Where the inputs go.
        outputs: Where the outputs are.
        fallbacks: By kind and reason, how many nodes the reference runs.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps: list[Step | Call] = []
        self.located: dict[int, Located] = {}
        self.fallbacks: Counter[str] = Counter()
        uses = [v for node in program.nodes for v in node.values]
        self._uses = Counter([*uses, *(port.value for port in program.outputs)])
        self._chains: dict[int, Chain] = find_attention(program, self._uses)
        self.inputs = [self._boundary(port.value) for port in program.inputs]
        for port, place in zip(program.inputs, self.inputs, strict=True):
            self.located[port.value] = place
        self._compile()
        self.outputs = [
            self.as_torch(port.value, pinned=True) for port in program.outputs
        ]

    def _compile(self) -> None:
        absorbed = {id(n) for c in self._chains.values() for n in c.nodes}
        for node in self.program.nodes:
            if id(node) in self._chains:
                self._attention(node)
            elif id(node) not in absorbed:
                self._node(node)

    def _attention(self, node: Node) -> None:
        from .kernels.attention import emit_attention

        chain = self._chains[id(node)]
        made = self._attempt(
            'attention', chain.nodes, lambda: emit_attention(self, chain)
        )
        if made is not None:
            self._locate(node, made)
            return
        for part in chain.nodes:
            self._node(part)

    def _node(self, node: Node) -> None:
        if node.kind in MOVES:
            index = {k: self.constant(node, k) for k in node.constants}
            (operand,) = node.operands
            x = self.located[operand] if isinstance(operand, int) else None
            made = x and self._moved(x, node, index)
        else:
            made = self._attempt(node.kind, [node], lambda: self._emit(node))
        self._locate(node, fallback(self, node) if made is None else made)

    def _moved(self, x: Located, node: Node, index: dict[str, Tensor]) -> Located:
        from .fusion.epilogue import split_channels

        if node.kind == 'reshape':
            split = split_channels(x, node.attributes['shape'])
            if split is not None:
                return split
        return x.moved(node.kind, node.attributes, **index)

    def _emit(self, node: Node) -> Located:
        if node.kind not in EMITTERS:
            raise Unsupported('no kernel')
        return EMITTERS[node.kind](self, node)

    def _attempt(
        self, what: str, nodes: Sequence[Node], emit: Callable[[], Located]
    ) -> Located | None:
        """Steps for nodes; none, and nothing changed, if there is no kernel."""
        numbers = {v for node in nodes for v in node.values if v in self.located}
        places = [self.located[v] for v in numbers]
        before = [(p.producer, vars(p.producer).copy()) for p in places if p.producer]
        fields = [dict(step.fields) for step, _ in before]
        steps = list(self.steps)
        try:
            return emit()
        except Unsupported as error:
            self.fallbacks[f'{what}: {error}'] += 1
        self.steps = steps
        for (step, attributes), saved in zip(before, fields, strict=True):
            vars(step).update(attributes, fields=saved)
        return None

    def _locate(self, node: Node, place: Located) -> None:
        if self._uses[node.output] != 1:
            place = replace(place, producer=None)
        self.located[node.output] = place

    def value(self, node: Node) -> Value:
        """What a node makes."""
        return self.program.values[node.output]

    def operand(self, node: Node, index: int) -> Located:
        """Where an operand is; a tensor of the program is put into no buffer."""
        operand = node.operands[index]
        if isinstance(operand, str):
            raise Unsupported('a constant operand')
        if self.program.values[operand].bound >= INT32:
            raise Unsupported('operands of more than 32 bits')
        return self.located[operand]

    def constant(self, node: Node, name: str) -> Tensor:
        """A constant of a node that is a tensor."""
        value = node.constants[name]
        assert isinstance(value, str)
        return self.program.tensors[value]

    def tensor(self, constant: int | str) -> Tensor:
        """A constant as a tensor, a number as one of no dimension."""
        if isinstance(constant, int):
            return torch.tensor(constant)
        return self.program.tensors[constant]

    def number(self, node: Node, name: str) -> int:
        """A constant of a node that is an int."""
        value = node.constants[name]
        assert isinstance(value, int)
        return value

    def storage(self, value: Value) -> Storage:
        """The native storage of a value.

        Raises:
            Unsupported: If there is none.
        """
        try:
            return storage_for(value.low, value.high)
        except OverflowError as error:
            raise Unsupported(str(error)) from error

    def emit(self, step: Step, result: Located) -> Located:
        """Append a step that may still be changed."""
        self.steps.append(step)
        return replace(result, producer=step)

    def again(self, step: Step) -> None:
        """Move a step to the end: it now needs what was made after it."""
        self.steps.remove(step)
        self.steps.append(step)

    def dense(self, x: Located) -> Located:
        """The same integers, contiguous."""
        return x if x.is_contiguous else copied(self, x, x.storage)

    def stored(self, x: Located, storage: Storage) -> Located:
        """The same integers, contiguous and kept as said."""
        if x.storage == storage:
            return self.dense(x)
        return copied(self, x, storage)

    def rows(self, x: Located) -> tuple[Located, int]:
        """Rows of contiguous elements at equal distances.

        Returns:
            The integers, and the distance between rows.
        """
        size = x.shape[-1] if x.shape else 1
        if x.positions is None and x.shape and (size == 1 or x.strides[-1] == 1):
            sizes, (strides,) = collapsed(x.shape[:-1], [x.strides[:-1]])
            if sizes == [1]:
                return x, size
            if len(sizes) == 1 and strides[0] > 0:
                return x, strides[0]
        return self.dense(x), size

    def as_torch(self, value: int, pinned: bool = False) -> Located:
        """A value as torch would keep it."""
        x, kept = self.located[value], storage_of(self.program.values[value].dtype)
        if x.storage == kept and x.is_contiguous and x.offset == 0 and not pinned:
            return x
        return copied(self, x, kept, pinned)

    def _boundary(self, value: int) -> Located:
        described = self.program.values[value]
        return Located.new(self.storage(described), described.shape, pinned=True)
