"""Attention: one command for two products and softmax."""

import pytest
import torch
from attention_case import MASKS, attention
from native_cases import SIGNED_BYTES, WIDE, add, check, function, matmul, move, program

from iptq_mm.intmath import QParams
from iptq_mm.native.commands import Add, Attention, Copy
from iptq_mm.program.backends.native.fusion.attention import distinct


@pytest.mark.parametrize('high', [255, 127, 32767, 65535])
@pytest.mark.parametrize(
    'queries, keys, depth',
    [(1, 1, 4), (7, 5, 3), (49, 49, 32), (13, 70, 64), (6, 33, 80)],
)
def test_any_size(level, queries, keys, depth, high):
    native = check(attention((2, 3), queries, keys, depth, high))
    # Keys are turned, the output is kept as torch keeps it.
    assert [type(c) for c in native.commands] == [
        *[Copy] * (keys > 1),
        Attention,
        Add,
    ]


@pytest.mark.parametrize('scale', [1e-6, 3e-4, 0.01, 2.0])
def test_any_scale(level, scale):
    """Differences of one byte, of two, and of more; nearly flat, nearly one-hot."""
    check(attention((2,), 9, 40, 16, scale=scale))


@pytest.mark.parametrize(
    'stages', [('bias',), ('mask',), ('bias', 'mask')], ids='-'.join
)
def test_biases_and_masks(level, stages):
    check(attention((4, 3), 10, 35, 16, stages=stages))


@pytest.mark.parametrize('stages', [(), ('bias',)], ids=str)
@pytest.mark.parametrize('mask', MASKS)
@pytest.mark.parametrize('scale', [1e-6, 3e-4, 0.01])
@pytest.mark.parametrize('keys', [17, 49, 64])
def test_what_masks_hide(level, stages, mask, scale, keys):
    """Differences of scores that are hidden are limited, if the mask hides enough."""
    stages = (*stages, mask)
    native = check(attention((4, 3), 10, keys, 16, scale=scale, stages=stages))
    command = next(c for c in native.commands if isinstance(c, Attention))
    hides = [a.hides for a in command.addition][: command.additions]
    assert hides[-1] == (-MASKS[mask] if mask in ('mask', 'light mask') else 0)
    assert hides[:-1] == [0] * (len(stages) - 1)


@pytest.mark.parametrize('stages', [(), ('bias',)], ids=str)
@pytest.mark.parametrize('scale', [3e-4, 0.01])
@pytest.mark.parametrize('more', [-1, 0, 1])
def test_masks_that_hide_just_enough(level, stages, scale, more):
    """Or one too little, so that a hidden score may differ from the limit."""
    made = attention((2,), 6, 40, 16, scale=scale, stages=(*stages, 'mask'))
    native = check(made)
    command = next(c for c in native.commands if isinstance(c, Attention))
    reached = command.addition[0].sum if stages else command.score
    enough = command.softmax.clamp + reached.high - reached.low
    check(attention((2,), 6, 40, 16, scale=scale, stages=(*stages, enough + more)))


@pytest.mark.parametrize(
    'stages',
    [
        ((1, 1, 1, 35),),
        ((4, 1, 1, 35),),
        ((4, 3, 10, 35),),
        ((1, 3, 10, 1),),
        ((10, 35),),
        ('bias', (4, 1, 1, 35)),
        ((4, 1, 10, 35), (35,)),
    ],
    ids=str,
)
def test_masks_that_were_computed(level, stages):
    """Of tokens, of images, of heads; broadcast as torch does it."""
    native = check(attention((4, 3), 10, 35, 16, stages=stages))
    assert [type(c) for c in native.commands].count(Attention) == 1


def test_addends_of_rows_and_columns_of_keys(level):
    """As ViT-SAM has them: the scores take two dimensions for keys, and one again."""

    def build(r):
        q = r.input((3, 4, 8), *SIGNED_BYTES, 1.0)
        k = r.input((3, 8, 6), *SIGNED_BYTES, 1.0)
        v = r.input((3, 6, 8), -128, 127, 1.0)
        apart = (3, 2, 2, 3, 2)
        scores = matmul(r, q, k, (3, 4, 6), WIDE, 0.1)
        scores = move(r, scores, 'reshape', apart, shape=list(apart))
        for shape in ((3, 2, 2, 3, 1), (3, 2, 2, 1, 2)):
            scores = add(r, [scores, r.input(shape, *WIDE, 1.0)], apart, WIDE)
        scores = move(r, scores, 'reshape', (3, 4, 6), shape=[3, 4, 6])
        p = function(r, 'table_softmax', scores, 3e-4, QParams(1 / 65535, 0, 65535))
        return matmul(r, p, v, (3, 4, 8), WIDE, 1 / 65535)

    native = check(program(build))
    assert Attention not in [type(c) for c in native.commands]
    assert 'scores that take another shape' in str(native)


@pytest.mark.parametrize('queries, mask', [(5, (4, 1, 5, 6)), (1, (1, 7, 6))])
def test_addends_that_make_more_scores(level, queries, mask):
    shape = (*mask[:-2], max(queries, mask[-2]), 6)

    def build(r):
        lead = shape[:-2] if queries == 1 else (1, *shape[1:-2])
        q = r.input((*lead, queries, 8), *SIGNED_BYTES, 1.0)
        k = r.input((*lead, 8, 6), *SIGNED_BYTES, 1.0)
        v = r.input((*lead, 6, 8), -128, 127, 1.0)
        scores = matmul(r, q, k, (*lead, queries, 6), WIDE, 0.1)
        scores = add(r, [scores, r.input(mask, *WIDE, 1.0)], shape, WIDE)
        p = function(r, 'table_softmax', scores, 3e-4, QParams(1 / 65535, 0, 65535))
        return matmul(r, p, v, (*shape[:-1], 8), WIDE, 1 / 65535)

    native = check(program(build))
    assert Attention not in [type(c) for c in native.commands]


@pytest.mark.parametrize('value_depth', [1, 16, 24, 48, 72])
@pytest.mark.parametrize('keys', [20, 64, 96])
def test_values_may_have_another_depth(level, keys, value_depth):
    check(attention((3,), 18, keys, 16, value_depth=value_depth))


SOFTMAXES = ['i_softmax', 'shiftmax', 'bit_softmax', 'log_int_softmax']


@pytest.mark.parametrize('name', SOFTMAXES)
@pytest.mark.parametrize('scale', [1e-6, 3e-4, 0.01, 2.0])
@pytest.mark.parametrize('high', [255, 65535])
def test_other_softmaxes(level, name, scale, high):
    check(attention((2,), 7, 37, 8, high, scale, ('bias',), name))


def test_published_forms_are_left_to_the_reference(level):
    options = {'literal': True}
    native = check(attention((2,), 5, 8, 4, name='shiftmax', options=options), 1)
    case = 'has no kernel for the literal form of shiftmax'
    assert [reason.split(':')[0] for reason in native.fallbacks] == [f'softmax {case}']
    assert f'1 lowered node by node: attention {case}' in str(native)


@pytest.mark.parametrize('count', [1, 5, 70])
def test_equal_masks_become_one(count):
    generator = torch.Generator().manual_seed(count)
    few = torch.randint(-9000, 9, (3, 49), generator=generator).to(torch.int16)
    rows = few[torch.randint(0, 3, (count,), generator=generator)]
    found, numbers = distinct(rows)
    assert torch.equal(found[numbers], rows)
    assert len(found) == len(rows.unique(dim=0)) == len(found.unique(dim=0))


def test_different_masks_of_the_same_sum_stay(monkeypatch):
    rows = torch.arange(12).view(4, 3)
    monkeypatch.setattr(torch, 'randint', lambda *args, **kwargs: torch.zeros(3).long())
    found, numbers = distinct(rows)
    assert torch.equal(found[numbers], rows) and len(found) == 4
