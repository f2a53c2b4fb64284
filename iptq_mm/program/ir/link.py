"""Linking: programs of regions that share integers, joined to one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from torch import Tensor

from .graph import Operand, Port, Program, ProgramError

#: One end of a wire: the position of a program, and that of one of its ports.
End = tuple[int, int]


def link(
    programs: Sequence[Program], wires: Mapping[End, End], keep: Set[int] = frozenset()
) -> Program:
    """One program that computes what several compute one after the other.

    Args:
        programs: The programs, in the order of execution.
        wires: From an input of a program to the output of an earlier program that
            provides it.
        keep: Positions of programs all of whose outputs are outputs of the whole. Of
            the other programs, only outputs without a wire are.

    Raises:
        ProgramError: If an output and the input that takes it differ in scale, type,
            shape or bounds, or the program that takes it comes first.
    """
    starts = [0]
    for program in programs:
        starts.append(starts[-1] + len(program.values))
    new = list(range(starts[-1]))
    for consumer, producer in wires.items():
        number = _joined(programs, consumer, producer)
        new[starts[consumer[0]] + number[0]] = new[starts[producer[0]] + number[1]]
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


def _joined(
    programs: Sequence[Program], consumer: End, producer: End
) -> tuple[int, int]:
    """The numbers of the two values that a wire makes one: consumer's, producer's."""
    there, here = programs[producer[0]], programs[consumer[0]]
    out, into = there.outputs[producer[1]], here.inputs[consumer[1]]
    names = f"output {producer[1]} of '{there.region}'"
    names += f" to input {consumer[1]} of '{here.region}'"
    if producer[0] >= consumer[0]:
        raise ProgramError(
            f'a wire from {names}, which runs first: give the programs in the order of '
            'execution'
        )
    made, taken = there.values[out.value], here.values[into.value]
    if (out.scale, made) != (into.scale, taken):
        raise ProgramError(
            f'a wire from {names} that differ: {made} of scale {out.scale:.6g} and '
            f'{taken} of scale {into.scale:.6g}; the regions have to be quantized '
            'together, in one run'
        )
    return into.value, out.value
