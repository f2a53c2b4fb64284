"""Counts of operations and bytes, against what the shapes say."""

import torch
from program_cases import LONE, function_program, vit_program

from iptq_mm.program.audit.census import census


def test_products_of_a_vit():
    found = census(vit_program()).operations
    # 2 images of 17 tokens, 32 channels, 2 heads, 2 layers, 64 hidden channels.
    tokens, patches, dims = 2 * 17, 2 * 16, 32
    attention = 2 * 2 * 17 * 17 * 16 * 2
    layer = tokens * dims * (3 * dims + dims + 64 + 64) + attention
    assert found['mac'] == patches * dims * 3 * 64 + 2 * layer
    assert found['lookup'] and found['div'] and found['requantize']


def test_functions_count_their_operations():
    found = census(function_program('table_softmax', {})).operations
    assert found == {'add': 420, 'mul': 180, 'shift': 300, 'div': 5, 'lookup': 240}


def test_requantizations():
    assert census(LONE['requantize']()).operations == {'requantize': 150}
    assert census(LONE['to_levels']()).operations == {'lookup': 280}
    assert census(LONE['expand']()).operations == {}


def test_bytes():
    program = vit_program()
    found = census(program).bytes
    total = sum(t.numel() * t.element_size() for t in program.tensors.values())
    assert found.total() == total
    weights = {
        x
        for node in program.nodes
        if node.kind in ('linear', 'conv2d')
        for x in node.operands
        if isinstance(x, str)
    }
    assert found['weights'] == sum(program.tensors[x].numel() for x in weights)
    tables = {
        x
        for node in program.nodes
        if node.kind in ('gelu', 'softmax')
        for x in node.tensors
    }
    assert found['tables'] == sum(program.tensors[x].numel() * 8 for x in tables) > 0
    assert found['parameters'] and found['scales']
    index = LONE['gather']().tensors['index']
    assert census(LONE['gather']()).bytes == {
        'indices': index.numel() * torch.int32.itemsize
    }
