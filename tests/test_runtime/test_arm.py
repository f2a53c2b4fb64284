"""64-bit ARM: which instruction sets CPUs get, how few instructions they execute."""

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    extremes,
    function,
    linear,
    program,
    weights,
)
from program_cases import integers, vit_program
from runtime_cases import written
from runtime_checks.comparing import digest, predicted
from runtime_checks.counting import instructions, missing
from runtime_checks.targets import TARGETS
from runtime_checks.wasm import WasmTarget, compiler

import iptq_mm
from iptq_mm.intmath import QParams
from iptq_mm.program import run

pytestmark = pytest.mark.slow

ARM = TARGETS['aarch64']
LEVELS = ['portable', 'neon', 'dotprod', 'i8mm']
ROWS, DEPTH, COLUMNS = 192, 768, 768

# Of this layer, with what brings tensors in and out, and weights into form. The least
# are multiply-adds by those of an instruction (8, 16 and 32); words take four.
MOST = {'neon': 2.5, 'dotprod': 1.55, 'i8mm': 2.1}
WIDEST = {'neon': 8, 'dotprod': 16, 'i8mm': 32}


@pytest.mark.parametrize(
    ('cpu', 'count'), [('cortex-a57', 2), ('cortex-a76', 3), ('max', 4)]
)
def test_a_cpu_gets_what_it_has(aarch64, cpu, count, tmp_path):
    command = ARM.command(aarch64, cpu)
    assert ARM.levels(command) == LEVELS[:count]
    made = vit_program()
    path = written(made, tmp_path / 'vit.iptq')
    for batch in (integers(made, 2), extremes(made, 3)):
        wanted = [x.numpy() for x in run(made, batch)]
        found = predicted(command, path, [x.numpy() for x in batch])
        assert digest(found) == digest(wanted)


@pytest.mark.parametrize('level', LEVELS[1:])
def test_clang_compiles_the_kernels(level, tmp_path):
    """Its intrinsics are macros here and there; phones and Apple have no other."""
    why = WasmTarget().missing_compiler()
    if why:
        warnings.warn(why, stacklevel=1)
        pytest.skip(why)
    kernels = Path(iptq_mm.__file__).parent / 'native' / 'src'
    cpu = ['-target', 'aarch64-linux-musl', '-mcpu=generic+dotprod+i8mm']
    what = ['-c', kernels / 'isa' / f'{level}.cpp', '-o', tmp_path / 'kernels.o']
    command = [*compiler(), *cpu, '-std=c++20', '-O0', '-I', kernels, *what]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('cpu', ['cortex-a57', 'cortex-a76', 'max'])
@pytest.mark.parametrize('bits', [8, 4])
def test_words_by_bytes(aarch64, cpu, bits, tmp_path):
    """Panels of bytes, or of half bytes, become words; rows are words already."""

    def build(r):
        x = r.input((13, 100), *WIDE, 1.0)
        hidden = linear(r, x, weights(70, 100, bits), WIDE, 1e-5)
        gelu = QParams(1e-3, -400, 32767)
        made = function(r, 'long_table_gelu', hidden, 1e-3, gelu)
        return linear(r, made, weights(33, 70, bits), SIGNED_BYTES, 1e-5)

    made, command = program(build), ARM.command(aarch64, cpu)
    path = written(made, tmp_path / 'words.iptq')
    for batch in (integers(made, 2), extremes(made, 3)):
        wanted = [x.numpy() for x in run(made, batch)]
        found = predicted(command, path, [x.numpy() for x in batch])
        assert digest(found) == digest(wanted)


def test_an_instruction_set_that_is_not_there_is_refused(aarch64, vit_file):
    command = [*ARM.command(aarch64, 'cortex-a57'), vit_file, '--isa', 'i8mm']
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 1 and "no instruction set 'i8mm'" in made.stderr


def test_products_take_few_instructions(aarch64, tmp_path):
    if missing(ARM):
        warnings.warn(f'NOT TESTED: {missing(ARM)}', stacklevel=1)
        pytest.skip(missing(ARM))
    made = program(
        lambda r: linear(
            r,
            r.input((ROWS, DEPTH), *SIGNED_BYTES, 1.0),
            weights(COLUMNS, DEPTH),
            SIGNED_BYTES,
            0.0001,
        )
    )
    path, given = written(made, tmp_path / 'linear.iptq'), tmp_path / 'input.npy'
    np.save(given, integers(made)[0].numpy())
    command = ARM.command(aarch64)
    found = {
        level: instructions(ARM, command, path, [given], level)
        * WIDEST[level]
        / (ROWS * DEPTH * COLUMNS)
        for level in LEVELS[1:]
    }
    assert all(1 < found[level] < MOST[level] for level in found), found
