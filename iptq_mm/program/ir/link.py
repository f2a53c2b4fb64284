"""Programs of regions that hand integers to each other, joined to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from torch import Tensor

from .graph import Operand, Port, Program, ProgramError

#: A program by its position, and one of its ports by its own.
End = tuple[int, int]


def link(
    programs: Sequence[Program], wires: Mapping[End, End], keep: Set[int] = frozenset()
) -> Program:
    """One program that does what several do one after the other.

    Args:
        programs: In the order of execution.
        wires: From an input to the output of an earlier program that is given to it.
        keep: Programs all of whose outputs are outputs of the whole. Of the others,
            these are the ones that no wire takes.

    Raises:
        ProgramError: If the two ends of a wire mean different things by their integers.
    """
    starts = [0]
    for program in programs:
        starts.append(starts[-1] + len(program.values))
    new = list(range(starts[-1]))
    for taker, giver in wires.items():
        number = _joined(programs, taker, giver)
        new[starts[taker[0]] + number[0]] = new[starts[giver[0]] + number[1]]
    given = set(wires.values())
    nodes, tensors = [], dict[str, Tensor]()
    inputs, outputs = list[Port](), list[Port]()
    for i, program in enumerate(programs):
        at, prefix = starts[i], f'{program.region}.'
        tensors |= {prefix + name: t for name, t in program.tensors.items()}
        for node in program.nodes:

            def there(x: Operand, at: int = at, prefix: str = prefix) -> Operand:
                return prefix + x if isinstance(x, str) else new[at + x]

            nodes.append(
                replace(
                    node,
                    operands=[there(x) for x in node.operands],
                    output=new[at + node.output],
                    constants={
                        k: prefix + v if isinstance(v, str) else v
                        for k, v in node.constants.items()
                    },
                    site=node.site and f'{program.region}:{node.site}',
                )
            )
        for k, port in enumerate(program.inputs):
            if (i, k) not in wires:
                inputs.append(replace(port, value=new[at + port.value]))
        for k, port in enumerate(program.outputs):
            if (i, k) not in given or i in keep:
                outputs.append(replace(port, value=new[at + port.value]))
    values = [value for program in programs for value in program.values]
    left = sorted({new[n] for n in range(len(values))})
    order = {old: number for number, old in enumerate(left)}
    for node in nodes:
        node.output = order[node.output]
        node.operands = [order[x] if isinstance(x, int) else x for x in node.operands]
    whole = Program(
        '+'.join(program.region for program in programs),
        [values[old] for old in left],
        [replace(port, value=order[port.value]) for port in inputs],
        [replace(port, value=order[port.value]) for port in outputs],
        nodes,
        tensors,
    )
    whole.check()
    return whole


def _joined(programs: Sequence[Program], taker: End, giver: End) -> tuple[int, int]:
    """The numbers of the two values that a wire makes one."""
    there, here = programs[giver[0]], programs[taker[0]]
    out, into = there.outputs[giver[1]], here.inputs[taker[1]]
    if giver[0] >= taker[0]:
        raise ProgramError(
            f"'{here.region}' takes what '{there.region}' has yet to make"
        )
    if (out.scale, there.values[out.value]) != (into.scale, here.values[into.value]):
        raise ProgramError(
            f"'{there.region}' and '{here.region}' mean different things by the "
            'integers that one gives the other'
        )
    return into.value, out.value
