"""Moves: views of a buffer, by strides or by an address map."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import WIDE, add, check, move, program

SHAPE = (3, 4, 6)


@st.composite
def moves(draw):
    """Some moves, one after the other: kind, attributes and shape."""
    shape, made = list(SHAPE), []
    for _ in range(draw(st.integers(1, 4))):
        rank = len(shape)
        kind = draw(st.sampled_from(['permute', 'slice', 'roll', 'pad', 'reshape']))
        if kind == 'permute':
            dims = draw(st.permutations(range(rank)))
            shape, a = [shape[d] for d in dims], {'dims': list(dims)}
        elif kind == 'slice':
            starts = [draw(st.integers(0, n - 1)) for n in shape]
            steps = [draw(st.integers(1, 2)) for _ in shape]
            sizes = [
                draw(st.integers(1, -(-(n - s) // k)))
                for n, s, k in zip(shape, starts, steps, strict=True)
            ]
            shape, a = sizes, {'starts': starts, 'sizes': sizes, 'steps': steps}
        elif kind == 'roll':
            a = {
                'shifts': [draw(st.integers(-3, 3))],
                'dims': [draw(st.integers(0, rank - 1))],
            }
        elif kind == 'pad':
            before = [draw(st.integers(0, 1)) for _ in shape]
            after = [draw(st.integers(0, 2)) for _ in shape]
            shape = [a + b + c for a, b, c in zip(before, shape, after, strict=True)]
            a = {'before': before, 'after': after}
        else:
            merged = draw(st.integers(0, rank - 2)) if rank > 1 else 0
            shape = [*shape[:merged], -1, *shape[merged + 2 :]] if rank > 1 else shape
            shape = list(
                torch.empty(made[-1][2] if made else SHAPE).reshape(shape).shape
            )
            a = {'shape': shape}
        made.append((kind, a, tuple(shape)))
    return made


@given(moves(), st.sampled_from([(-9, 9), (-200, 55), WIDE]))
@settings(max_examples=60, deadline=None)
def test_moves(made, bounds):
    def build(r):
        x = r.input(SHAPE, *bounds, 1.0)
        for kind, attributes, shape in made:
            x = move(r, x, kind, shape, **attributes)
        return add(r, [x, x], shape, WIDE)

    check(program(build))
