"""A program on its way to commands: the data that the compiler's stages share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...ir.graph import Program
from .context import EmitterContext
from .fusion.attention_pattern import AttentionPattern
from .layout.steps import Buffer
from .layout.tensor_ref import TensorRef


@dataclass
class Compilation:
    """What the stages have made so far; :mod:`.compiler` says which stage makes what.

    Attributes:
        program: The program.
        uses: Number of uses of each value, as an output of the program included.
        attention: Attention patterns by the identity of their last node.
        context: The steps, and where values are.
        inputs: Where the inputs go.
        outputs: Where the outputs are.
        fallbacks: Why the reference computes nodes: number of nodes by reason.
        unfused: Why patterns are lowered node by node: number of patterns by reason.
        offsets: Offset of each buffer in the arena.
        size: Bytes of the arena.
    """

    program: Program
    uses: Counter[int] = field(init=False)
    attention: dict[int, AttentionPattern] = field(default_factory=dict)
    context: EmitterContext = field(init=False)
    inputs: list[TensorRef] = field(default_factory=list)
    outputs: list[TensorRef] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)
    unfused: Counter[str] = field(default_factory=Counter)
    offsets: dict[Buffer, int] = field(default_factory=dict)
    size: int = 0

    def __post_init__(self) -> None:
        self.context = EmitterContext(self.program)
        taken = [v for node in self.program.nodes for v in node.values]
        given = [port.value for port in self.program.outputs]
        self.uses = Counter([*taken, *given])
