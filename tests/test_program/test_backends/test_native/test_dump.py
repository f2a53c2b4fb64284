"""Native programs as text."""

import torch
from native_cases import (
    SIGNED_BYTES,
    WIDE,
    add,
    function,
    linear,
    move,
    program,
    weights,
)

from iptq_mm.intmath import QParams, dyadic
from iptq_mm.program.backends.native.compiler import compile_program
from iptq_mm.program.backends.native.dump import dump
from iptq_mm.program.backends.native.program import NativeProgram

TOKENS, HEADS, DEPTH = 6, 2, 8
WIDTH = HEADS * DEPTH


def normed(r, x):
    one = torch.ones(WIDTH, dtype=torch.float64)
    affine, out = {'gamma': one, 'beta': one}, QParams(0.03, *SIGNED_BYTES)
    return function(r, 'ivit_layernorm', x, 1e-3, out, affine)


def matmul(r, a, b, shape, bounds, bound, ratio):
    factor = dyadic(ratio, 40)
    constants = dict(bound=bound, multiplier=factor.multiplier, shift=factor.shift)
    return r.node('matmul', [a, b], shape, bounds, constants)


def attention(r, x):
    qkv = linear(r, x, weights(3 * WIDTH, WIDTH), SIGNED_BYTES, 0.02)
    apart = (1, TOKENS, 3, HEADS, DEPTH)
    qkv = move(r, qkv, 'reshape', apart, shape=list(apart))
    turned = (3, 1, HEADS, TOKENS, DEPTH)
    qkv = move(r, qkv, 'permute', turned, dims=[2, 0, 3, 1, 4])
    heads = []
    for i in range(3):
        part = dict(starts=[i, 0, 0, 0, 0], sizes=[1, *turned[1:]], steps=[1] * 5)
        one = move(r, qkv, 'slice', (1, *turned[1:]), **part)
        heads.append(move(r, one, 'reshape', turned[1:], shape=list(turned[1:])))
    q, k, v = heads
    k = move(r, k, 'permute', (1, HEADS, DEPTH, TOKENS), dims=[0, 1, 3, 2])
    square = (1, HEADS, TOKENS, TOKENS)
    scores = matmul(r, q, k, square, WIDE, DEPTH * 127**2, 0.2)
    p = function(r, 'table_softmax', scores, 1e-3, QParams(1 / 255, 0, 255))
    made = matmul(r, p, v, turned[1:], SIGNED_BYTES, TOKENS * 255 * 128, 1 / 255)
    made = move(r, made, 'permute', (1, TOKENS, HEADS, DEPTH), dims=[0, 2, 1, 3])
    together = (1, TOKENS, WIDTH)
    return move(r, made, 'reshape', together, shape=list(together))


def block(r):
    """One block of a vision transformer."""
    shape = (1, TOKENS, WIDTH)
    x = r.input(shape, *WIDE, 1.0)
    made = linear(r, attention(r, normed(r, x)), weights(WIDTH, WIDTH), WIDE, 0.4)
    x = add(r, [x, made], shape, WIDE)
    hidden = linear(r, normed(r, x), weights(4 * WIDTH, WIDTH), WIDE, 0.4)
    hidden = function(r, 'interpolated_gelu', hidden, 3e-4, QParams(0.02, -9, 246))
    made = linear(r, hidden, weights(WIDTH, 4 * WIDTH), WIDE, 0.4)
    return add(r, [x, made], shape, WIDE)


BLOCK = """\
native program of made: 23 nodes, 8 steps, arena of 1472 bytes
input %0 int16[1,6,16] @448
  0 LayerNorm rows=6 size=16 | x=@448 out=@960 | %1 int8[1,6,16] = layer_norm
  1 Gemm m=6 n=48 k=16 | a=@960 out=@0 | %2 int8[1,6,48] = linear
  2 Attention groups=2 queries=6 keys=6 depth=8 value_depth=8 | q=@0 k=@0 v=@0 out=@1216 | %14 int8[1,2,6,8] = matmul + softmax + matmul
  3 Gemm m=6 n=16 k=16 epilogue=add | a=@1216 out=@960 residual=@448 | %18 int16[1,6,16] = linear + add
  4 LayerNorm rows=6 size=16 | x=@960 out=@1216 | %19 int8[1,6,16] = layer_norm
  5 Gemm m=6 n=64 k=16 epilogue=table | a=@1216 out=@0 | %21 int16[1,6,64] = linear + gelu
  6 Gemm m=6 n=16 k=64 epilogue=add | a=@0 out=@1216 residual=@960 | %23 int16[1,6,16] = linear + add
  7 Copy size=2 shape=[1,1,1,1,1,96] | out=@704 a=@1216 | copy of an output
output %23 int16[1,6,16] @704
"""  # noqa: E501


def test_a_transformer_block():
    """Twenty nodes are seven commands; addresses are offsets in the arena."""
    assert str(NativeProgram(program(block))) == BLOCK


def test_each_stage():
    """What there is so far: no steps, no offsets, at last all."""
    seen = {}
    made = compile_program(
        program(block), lambda stage, made: seen.update({stage: dump(made)})
    )
    assert list(seen) == [
        'match_attention',
        'lower_nodes',
        'finish_steps',
        'place_buffers',
    ]
    assert '0 steps' in seen['match_attention']
    assert 'b0' in seen['lower_nodes'] and '@' not in seen['lower_nodes']
    assert seen['finish_steps'] == seen['lower_nodes']
    assert seen['place_buffers'] == dump(made)


def test_what_the_reference_computes():
    def build(r):
        x = r.input((3, 8), *WIDE, 1.0)
        out = QParams(1 / 255, 0, 255)
        return function(r, 'shiftmax', x, 1e-3, out, options={'literal': True})

    text = str(NativeProgram(program(build)))
    assert '  0 reference | operands=@' in text and '= softmax\n' in text
    assert text.endswith(
        '1 left to the reference: softmax has no kernel for the literal form of '
        'shiftmax: shiftmax without literal=True has one\n'
    )
