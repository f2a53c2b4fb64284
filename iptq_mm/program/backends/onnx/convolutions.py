"""Convolutions by ConvInteger, or by MatMulInteger where the patches do not overlap.

Compilers that lack ConvInteger (TVM does) have MatMulInteger. ONNX Runtime is faster
with it, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .builder import Builder, Known, Ref
from .products import product

_Shape = tuple[int, ...]
#: From accumulators, and where their channels are from the end, to the result.
_Requantize = Callable[[Ref, int], Ref]


def convolution(
    b: Builder,
    x: Known,
    weight: Known,
    shapes: tuple[_Shape, _Shape],
    attributes: dict[str, Any],
    bound: int,
    requantize: _Requantize,
) -> Ref:
    """The requantized convolution of a batch of images.

    Args:
        b: The graph.
        x: Images.
        weight: Weight.
        shapes: Of both: (N, C, H, W) and (O, C / groups, h, w).
        attributes: Of the node, as torch names them.
        bound: No accumulator exceeds it in magnitude.
        requantize: Makes the result of accumulators; also gets which dimension from
            the end has their channels.
    """
    pairs: dict[str, Any] = {
        k: [v, v] if isinstance(v, int) else v if isinstance(v, str) else list(v)
        for k, v in attributes.items()
    }
    sizes, groups = list(shapes[1][2:]), attributes.get('groups', 1)
    stride, dilation = pairs.get('stride', [1, 1]), pairs.get('dilation', [1, 1])
    pads = _pads(pairs.get('padding', [0, 0]), sizes, dilation)
    terms = math.prod(shapes[1][1:])
    apart = stride == sizes and not any(pads) and dilation == [1, 1]
    if apart and groups == 1 and sizes != [1, 1]:
        return _of_patches(b, x, weight, shapes, terms, bound, requantize)
    made = product(
        b,
        'ConvInteger',
        x,
        weight,
        terms,
        bound,
        strides=stride,
        pads=pads,
        dilations=dilation,
        group=groups,
    )
    return requantize(made, 3)


def _of_patches(
    b: Builder,
    x: Known,
    weight: Known,
    shapes: tuple[_Shape, _Shape],
    terms: int,
    bound: int,
    requantize: _Requantize,
) -> Ref:
    """The same of patches side by side: each is a row of a matrix."""
    (n, c, *size), (out, _, *patch) = shapes
    rows, columns = (a // k for a, k in zip(size, patch, strict=True))
    whole = [rows * patch[0], columns * patch[1]]
    x = b.given(x)
    if whole != size:  # what does not make a patch is left out
        ends = map(b.axes, ([0, 0], whole, [2, 3]))
        x = b.moved('Slice', x, *ends)
    split = b.axes([n, c, rows, patch[0], columns, patch[1]])
    x = b.moved('Transpose', b.moved('Reshape', x, split), perm=[0, 2, 4, 1, 3, 5])
    x = b.moved('Reshape', x, b.axes([n, rows * columns, terms]))
    matrix = b.given(weight) if isinstance(weight, Ref) else weight.reshape(out, -1).t()
    if isinstance(matrix, Ref):
        matrix = b.moved('Reshape', matrix, b.axes([out, terms]))
        matrix = b.moved('Transpose', matrix, perm=[1, 0])
    made = requantize(product(b, 'MatMulInteger', x, matrix, terms, bound), 1)
    made = b.moved('Transpose', made, perm=[0, 2, 1])
    return b.moved('Reshape', made, b.axes([n, out, rows, columns]))


def _pads(padding: str | list[int], sizes: list[int], dilation: list[int]) -> list[int]:
    """Zeros before and after, by dimension."""
    if padding == 'valid':
        return [0, 0, 0, 0]
    if padding == 'same':
        total = [d * (n - 1) for n, d in zip(sizes, dilation, strict=True)]
        before = [n // 2 for n in total]
        return before + [n - m for n, m in zip(total, before, strict=True)]
    assert not isinstance(padding, str)
    return [*padding, *padding]
