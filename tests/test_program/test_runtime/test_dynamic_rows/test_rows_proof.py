"""Programs that treat rows alike: what is shown, and what follows from it."""

import copy

import pytest
import torch
from detector_parts import Beside, bbox_head, boxes, levels, mask_head, normed, rpn
from program_cases import equal, integers, lone, quantized_vit
from region_models import Custom, images, quantized, rows
from torch import nn

from iptq_mm.program import run, trace
from iptq_mm.program.runtime.dynamic_rows.proof import (
    row_count,
    row_wise,
    same_program,
    with_rows,
)

pytestmark = pytest.mark.usefixtures('no_grad')


def traced(body, *shape, **parts):
    """A :class:`Custom` of ``body`` and its program for inputs of a shape."""
    net = quantized(Custom(body, **parts), [rows(*shape, seed=s) for s in range(2)])
    return net.backbone, trace(net.backbone, (rows(*shape),)).program


KEEP = {
    'layers': lambda m, x: m.last(x),
    'attention': lambda m, x: (x @ x.mT).softmax(-1) @ x,
    'sum with a parameter': lambda m, x: x + m.p,
    'product': lambda m, x: x * m.last(x),
    'cat': lambda m, x: torch.cat([x, m.last(x)], -1),
    'mean': lambda m, x: x.mean(1),
    'relu': lambda m, x: m.last(m.last(x).relu()),
    'mask': lambda m, x: x + torch.full((1, 5, 16), -100.0),
    'negative': lambda m, x: -x,
    'reshape': lambda m, x: x.flatten(1).view(-1, 16, 5),
    'permute': lambda m, x: x.mT,
    'expand': lambda m, x: x[:, :1].expand(-1, 7, -1),
    'slice': lambda m, x: x[:, 1:5:2, :3],
    'strided': lambda m, x: nn.functional.unfold(x[:, None], (3, 16)),
    'roll': lambda m, x: x.roll((1, 2), (1, 2)),
    'pad': lambda m, x: nn.functional.pad(x, (1, 2)),
    'gather': lambda m, x: x[:, [3, 1, 1]],
    'gather with zeros': lambda m, x: nn.functional.pad(x, (-1, 2, 1, -2)),
}


@pytest.mark.parametrize('name', KEEP)
def test_kinds_that_keep_rows(name):
    module, few = traced(KEEP[name], 2, 5)
    more = trace(module, (rows(5, 5),)).program
    assert (row_count(few), row_count(more)) == (2, 5)
    other = with_rows(few, 5)
    other.check()
    assert same_program(other, more) and same_program(with_rows(more, 2), few)
    x = integers(more)
    assert equal(run(other, x), run(more, x))
    assert equal(run(with_rows(few, 1), [x[0][3:4]]), [y[3:4] for y in run(more, x)])


MEET = {
    'mean over rows': lambda m, x: x.mean(0, keepdim=True) + x,
    'rows rolled': lambda m, x: x.roll(1, 0),
    'rows turned around': lambda m, x: x.flip(0),
    'other rows': lambda m, x: x[[1, 0, 2]],
    'rows as channels': lambda m, x: x.transpose(0, 1),
    'rows padded': lambda m, x: nn.functional.pad(x, (0, 0, 0, 0, 1, 0))[1:],
    'rows flattened': lambda m, x: m.last(x.flatten(0, 1)),
    'products of rows': lambda m, x: x.flatten(1) @ x.flatten(1).mT,
    'rows strung together': lambda m, x: torch.cat([x, x]),
    'half of the rows': lambda m, x: x[::2],
    'a row for all': lambda m, x: x[:1].expand(3, -1, -1),
    'a mask by row': lambda m, x: x + torch.linspace(-99, -9, 3).view(3, 1, 1),
    'an embedding by row': lambda m, x: x + torch.linspace(-9, 9, 3).view(3, 1, 1),
    'windows of several rows': lambda m, x: nn.functional.unfold(
        x.view(1, 1, 15, 16), (7, 16)
    ).reshape(3, 3, -1),
}


@pytest.mark.parametrize('name', MEET)
def test_kinds_that_do_not(name):
    module, program = traced(MEET[name], 3, 5)
    assert row_count(program) is None
    assert row_wise(lambda count: trace(module, (rows(count, 5),))) is None


def test_one_row_shows_nothing():
    _, program = traced(KEEP['layers'], 1, 5)
    assert row_count(program) is None


def test_unknown_kinds_keep_nothing():
    program = lone('negate', [((3, 4), -9, 9)], (-9, 9))
    assert row_count(program) == 3
    program.nodes[0].kind = 'something new'
    assert row_count(program) is None


COUNTING = {
    'a factor': lambda m, x: x * (1.0 / len(x)),
    'a shape': lambda m, x: x[:, : len(x)],
    'a choice': lambda m, x: m.last(x) if len(x) > 2 else x,
    'a constant beside': lambda m, x: (m.last(x), torch.zeros(len(x))),
    'a number beside': lambda m, x: (m.last(x), len(x)),
    'one count only': lambda m, x: x.view(2, 5, 16),
}


@pytest.mark.parametrize('name', COUNTING)
def test_modules_that_know_the_number_of_rows(name):
    net = quantized(Custom(COUNTING[name]), [rows(2, 5)])
    assert row_wise(lambda n: trace(net.backbone, (rows(n, 5),))) is None


def test_windows_of_a_transformer_are_no_rows():
    net = quantized_vit()
    assert row_wise(lambda n: trace(net.backbone, (images(n, 3, 32, 32),))) is None


PARTS = {
    'bbox': lambda: bbox_head(),
    'bbox with batch norm': lambda: normed(bbox_head(norm_cfg=dict(type='BN'))),
    'mask': lambda: mask_head(),
}


@pytest.mark.parametrize('name', PARTS)
def test_heads_of_the_second_stage(name):
    net = quantized(Beside(PARTS[name]()), [(boxes(4, seed=s),) for s in range(2)])
    few = row_wise(lambda count: trace(net.backbone, (boxes(count),)))
    for count in (1, 7):
        program = with_rows(few.program, count)
        x = integers(program)
        exact = trace(net.backbone, (boxes(count),)).program
        assert equal(run(program, x), run(exact, x))


def test_images_of_a_batch_are_rows_of_the_rpn():
    sizes = (8, 6), (4, 3)
    net = quantized(Beside(rpn()), [(levels(*sizes),)])
    few = row_wise(lambda n: trace(net.backbone, (levels(*sizes, batch=n),)))
    assert row_count(few.program) == 2


def test_differences_are_seen():
    _, program = traced(KEEP['layers'], 2, 5)
    other = copy.deepcopy(program)
    assert same_program(program, other)
    name = next(iter(other.tensors))
    other.tensors[name] = other.tensors[name] + 1
    assert not same_program(program, other)
    other = copy.deepcopy(program)
    key = next(k for k, v in other.nodes[0].constants.items() if isinstance(v, int))
    other.nodes[0].constants[key] += 1
    assert not same_program(program, other)
    assert not same_program(program, with_rows(program, 3))
