"""Programs: printed, and checked."""

import re

from program_cases import swin_program, vit_program


def test_a_line_a_node():
    program = vit_program()
    lines = str(program).splitlines()
    made = [line for line in lines if ' = ' in line and ' = input' not in line]
    assert len(made) == len(program.nodes)
    for line, node in zip(made, program.nodes, strict=True):
        value = program.values[node.output]
        head = rf'%{node.output} int\d+\[[\d,]*\] {value.low}..{value.high} = '
        assert re.match(head + node.kind, line)
        assert node.site in line and all(f'%{v}' in line for v in node.values)
        assert (node.function or {}).get('type', '') in line


def test_inputs_and_outputs_with_their_scales():
    program = swin_program()
    text = str(program)
    assert f'= input * {program.inputs[0].scale:.6g}' in text
    assert text.count('\noutput %') == 2
