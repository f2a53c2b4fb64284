"""Programs whose files the runtime is tried on."""

from collections.abc import Iterator
from pathlib import Path

from native_cases import grouped_weights, linear, program, weights
from program_cases import (
    LONE,
    REFERENCE_ONLY,
    block_program,
    function_program,
    functions,
    swin_program,
    vit_program,
)

from iptq_mm.program import Program
from iptq_mm.program.backends.native.file.writer import write_compiled


def written(made: Program, path: Path) -> Path:
    """Write a program's file; returns its path."""
    write_compiled(made, path)
    return path


def every_function() -> Iterator[tuple[str, Program]]:
    """All functions that have kernels, each by itself."""
    for name, options in functions():
        # The published forms have none.
        if not options and name not in REFERENCE_ONLY:
            yield name, function_program(name, options, 21)


def single_nodes() -> Iterator[tuple[str, Program]]:
    """Each kind of node by itself, and products of few and many bits."""
    for name, make in LONE.items():
        if name != 'add':  # one of more bits than kernels have
            yield name, make()
    bytes_, words = (-127, 127), (-32767, 32767)
    for bits, ends in ((4, bytes_), (16, words)):
        made = program(
            lambda r, bits=bits, ends=ends: linear(
                r, r.input((9, 70), *ends, 1.0), weights(37, 70, bits), bytes_, 0.001
            )
        )
        yield f'linear of {bits} bits', made
    for depth in (16, 20, 24):  # less than a group
        weight = grouped_weights(37, 1, depth, 32)[:, 0]
        made = program(
            lambda r, weight=weight, depth=depth: linear(
                r, r.input((9, depth), *bytes_, 1.0), weight, bytes_, 0.001
            )
        )
        yield f'linear with factors of {depth}', made


def all_cases() -> Iterator[tuple[str, Program]]:
    """All programs of this file."""
    yield from models()
    yield from single_nodes()
    yield from every_function()


def models() -> Iterator[tuple[str, Program]]:
    """Programs of whole models."""
    yield 'vit', vit_program()
    yield 'swin', swin_program()
    yield 'block', block_program()


def fuzzed() -> Iterator[tuple[str, Program]]:
    """What the fuzzer changes: small files, so that many are tried."""
    yield 'vit', vit_program()
    yield 'block', block_program()
    yield from single_nodes()
    yield from every_function()
