"""Programs as freestanding C99, compiled without registers for floats."""

import functools
import re
import shutil
import subprocess

import pytest
import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    extremes,
    function,
    grouped_weights,
    linear,
    matmul,
    program,
    weights,
)
from program_cases import LONE, equal, integers
from runtime_cases import every_function, models, single_nodes
from runtime_checks.c_file import CFile

from iptq_mm.intmath import QParams
from iptq_mm.program import run
from iptq_mm.program.backends.native.c_source.declarations import (
    unique_identifiers,
)
from iptq_mm.program.backends.native.c_source.writer import c_source, write_c
from iptq_mm.program.ir.graph import ProgramError

FLAGS = [
    *('-std=c99', '-pedantic', '-Wall', '-Wextra', '-Werror', '-Wconversion'),
    *('-Wno-sign-conversion', '-ffreestanding', '-O1'),
]

pytestmark = pytest.mark.skipif(
    shutil.which('gcc') is None, reason='no C compiler (gcc): apt-get install gcc'
)


def check(made, folder, name='made'):
    function = CFile(made, folder / f'{name}.c', FLAGS)
    for seed in range(2):
        for inputs in (integers(made, seed), extremes(made, seed)):
            found = function([x.numpy() for x in inputs])
            assert equal(run(made, inputs), [torch.from_numpy(x) for x in found])


CASES = dict([*single_nodes(), *every_function()])


@pytest.mark.parametrize('name', CASES)
def test_every_node_and_function(name, tmp_path):
    check(CASES[name], tmp_path)


@functools.cache
def model(name):
    return dict(models())[name]


@pytest.mark.parametrize('name', ['vit', 'swin', 'block'])
def test_models(name, tmp_path):
    check(model(name), tmp_path, name)


@pytest.mark.parametrize('depth', [9, 64])
@pytest.mark.parametrize('given', [(-128, 127), WIDE])
def test_weights_of_four_bits_with_factors(depth, given, tmp_path):

    weight = grouped_weights(33, 1, depth, 8)[:, 0]

    def build(r):
        x = r.input((7, depth), *given, 1.0)
        return linear(r, x, weight, WIDE, 0.01)

    made = program(build)
    assert '.group = 8' in c_source(made, 'made')[0]
    check(made, tmp_path)


@pytest.mark.parametrize('bits', [4, 8, 12])
def test_inputs_of_words(bits, tmp_path):
    def build(r):
        return linear(
            r, r.input((7, 30), *WIDE, 1.0), weights(33, 30, bits), WIDE, 1e-4
        )

    made = program(build)
    source = c_source(made, 'made')[0]
    assert '.words = 1' in source and f'.bits = {16 if bits > 8 else bits}' in source
    check(made, tmp_path)


def test_a_mask_that_was_computed(tmp_path):
    """It lies in the arena, and is added to the scores of an attention."""

    def build(r):
        q = r.input((3, 5, 8), *SIGNED_BYTES, 1.0)
        k = r.input((3, 8, 6), *SIGNED_BYTES, 1.0)
        v = r.input((3, 6, 8), -128, 127, 1.0)
        scores = matmul(r, q, k, (3, 5, 6), WIDE, 0.1)
        hidden = r.node('negate', [r.input((1, 1, 6), 0, 1, 1.0)], (1, 1, 6), (-1, 0))
        factors = {'left': 2**10, 'right': 90000 * 2**10, 'shift': 10}
        reached = (-90000 - 32767, 32767)
        scores = r.node('add', [scores, hidden], (3, 5, 6), reached, factors)
        p = function(r, 'table_softmax', scores, 3e-4, QParams(1 / 65535, 0, 65535))
        return matmul(r, p, v, (3, 5, 8), WIDE, 1 / 65535)

    made = program(build)
    assert 'static const Attention' in c_source(made, 'made')[0]
    check(made, tmp_path)


def test_what_stands_in_the_files():
    made = model('vit')
    source, header = c_source(made, 'vit')
    code = re.sub(r'/\*.*?\*/', '', source + header, flags=re.DOTALL)
    assert not re.search(r'\b(float|double|malloc|memcpy)\b|\d\.\d', code)
    assert '#include <stdint.h>' in header
    assert re.search(r'#define VIT_ARENA_BYTES \d+\n', header)
    assert re.findall(r'#include "?<?(.*?)[">]', source) == ['vit.h']


def test_memory_is_as_the_header_says(tmp_path):
    """Static memory that is written: as ``size`` counts it."""
    write_c(model('vit'), tmp_path / 'vit.c')
    made = tmp_path / 'vit.o'
    subprocess.run(
        ['gcc', *FLAGS, '-fno-pie', '-c', tmp_path / 'vit.c', '-o', made], check=True
    )
    told = subprocess.run(['size', made], capture_output=True, text=True, check=True)
    _, data, bss, *_ = map(int, told.stdout.splitlines()[1].split()[:3])
    header = (tmp_path / 'vit.h').read_text()
    said = int(re.search(r'VIT_ARENA_BYTES (\d+)', header)[1])
    assert said <= data + bss < said + 128  # alignment


def test_a_node_without_a_kernel():
    with pytest.raises(ProgramError, match=r'no file of C can be made.*ONNX'):
        c_source(LONE['add'](), 'made')


def test_identifiers():
    texts = ['a.b', 'a_b', 'A_b', 'i', 'default', 'input_0', '0', 'arena']
    made = unique_identifiers(texts, ['input_0'])
    assert made == [
        'a_b',
        'a_b_',
        'A_b__',
        'i_',
        'default_',
        'input_0_',
        '_0',
        'arena_',
    ]


def test_names(tmp_path):
    path = tmp_path / '1 model-x.c'
    made = CASES['linear of 4 bits']
    write_c(made, path)
    assert 'void _1_model_x_run(' in path.with_suffix('.h').read_text()
