"""What is written, and what cannot be."""

import os

import pytest
from program_cases import few_and_many_bits, function_program, vit_program

from iptq_mm.native.commands import KINDS
from iptq_mm.program import ProgramError
from iptq_mm.program.backends.native.file import format as file_format
from iptq_mm.program.backends.native.file.writer import compiled_bytes, write_compiled


def test_the_same_program_is_the_same_file():
    assert compiled_bytes(vit_program()) == compiled_bytes(vit_program())


def test_no_address_of_this_process_is_in_it():
    """Fields that hold addresses have a section and an offset within it."""
    contents = compiled_bytes(vit_program())
    numbers = memoryview(contents[: len(contents) // 8 * 8]).cast('Q')
    arena, at, count = numbers[4], numbers[7], numbers[9]
    constants = numbers[13]
    for _ in range(count):
        command = KINDS[numbers[at // 8]].from_buffer_copy(contents, at)
        for name, kind, *_ in command._fields_:
            value = getattr(command, name)
            if kind.__name__ != 'c_void_p' or not value:
                continue
            section = value >> file_format.SECTION_SHIFT
            offset = value & (2**file_format.SECTION_SHIFT - 1)
            size = {file_format.CONSTANTS: constants, file_format.ARENA: arena}[section]
            assert offset < size, name
        at += len(bytes(command))


def test_weights_are_there_once():
    """Constants that commands share have one place."""
    made = vit_program()
    weights = sum(t.numel() for t in made.tensors.values() if t.itemsize == 1)
    assert len(compiled_bytes(made)) < 4 * weights


def test_a_node_without_a_kernel(tmp_path):
    path = tmp_path / 'model.iptq'
    with pytest.raises(ProgramError, match='reference computes 1 of 1 nodes in Python'):
        write_compiled(few_and_many_bits(), path)
    with pytest.raises(ProgramError, match='literal form of shiftmax'):
        write_compiled(function_program('shiftmax', {'literal': True}), path)
    assert not os.listdir(tmp_path)
