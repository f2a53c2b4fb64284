"""Putting an ONNX graph together: operators, constants, types and bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

#: BitwiseAnd, and reductions that take their axes as input. ONNX Runtime has every
#: operator of it for the types that are used here, from version 1.20 on.
OPSET, IR_VERSION = 18, 8


class Ref(NamedTuple):
    """A tensor of the graph.

    Attributes:
        name: Its name.
        dtype: The type that stores it, in torch's and numpy's words: ``'int64'``.
            It may be narrower than the one that torch has there: numbers count.
        low: No number is ever below.
        high: No number is ever above.
    """

    name: str
    dtype: str
    low: int
    high: int


#: A tensor of the graph, or one that is known already.
Known = Ref | Tensor


def dtype_name(dtype: torch.dtype) -> str:
    """``'int8'`` of ``torch.int8``."""
    return str(dtype).removeprefix('torch.')


def onnx_type(dtype: str) -> int:
    """ONNX's number of a type.

    Raises:
        TypeError: If it is no integer and not bool: none other belongs here.
    """
    if np.dtype(dtype).kind not in 'iub':
        raise TypeError(f'{dtype} in an integer graph')
    return int(getattr(TensorProto, dtype.upper()))


def limits(dtype: str) -> tuple[int, int]:
    """Least and largest number of a type."""
    if dtype == 'bool':
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def holds(dtype: str, low: int, high: int) -> bool:
    """Whether a type has all of ``low..high``."""
    least, most = limits(dtype)
    return least <= low and high <= most


def narrowest(*bounds: int) -> str:
    """The type to compute in: int32 where it has these numbers."""
    return 'int32' if holds('int32', min(bounds), max(bounds)) else 'int64'


class Builder:
    """Collects operators. What was computed before is not computed again.

    Attributes:
        scope: First part of the names of the operators to come.
        nodes: Operators so far.
        initializers: Constants so far.
        flipped: By the name of a signed tensor, the unsigned one of the same size that
            it is with its highest bit flipped.
    """

    def __init__(self) -> None:
        self.scope = ''
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.flipped: dict[str, Ref] = {}
        self._made: dict[tuple, Ref] = {}

    def op(
        self,
        kind: str,
        *inputs: Ref,
        dtype: str | None = None,
        bounds: tuple[int, int] | None = None,
        **attributes: Any,
    ) -> Ref:
        """Add an operator, unless an equal one exists; returns its output.

        Args:
            kind: Name of the ONNX operator.
            *inputs: Its inputs.
            dtype: Type of the output; None: that of the first input.
            bounds: Bounds of the output; None: those of its type.
            **attributes: Attributes of the operator.
        """
        dtype = dtype or inputs[0].dtype
        key = (kind, tuple(x.name for x in inputs), repr(attributes))
        if key not in self._made:
            name = f'{self.scope}/{kind}_{len(self.nodes)}'
            names = [x.name for x in inputs]
            self.nodes.append(helper.make_node(kind, names, [name], name, **attributes))
            self._made[key] = Ref(name, dtype, *(bounds or limits(dtype)))
        return self._made[key]

    def live(self, names: Sequence[str]) -> list[NodeProto]:
        """The operators that some tensors need, in order."""
        needed, found = set(names), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                found.append(node)
        return found[::-1]

    def moved(self, kind: str, *inputs: Ref, **attributes: Any) -> Ref:
        """:meth:`op`, for an output with the type and bounds of the first input."""
        x = inputs[0]
        return self.op(kind, *inputs, bounds=(x.low, x.high), **attributes)

    def constant(self, value: int | Tensor | np.ndarray, dtype: str) -> Ref:
        """A constant.

        Raises:
            OverflowError: If a number does not fit the type.
        """
        onnx_type(dtype)
        array = np.asarray(value)
        bounds = (int(array.min()), int(array.max())) if array.size else (0, 0)
        if not holds(dtype, *bounds):
            raise OverflowError(f'{dtype} does not hold {bounds[0]}..{bounds[1]}')
        array = array.astype(dtype)
        digest = hashlib.sha256(array.tobytes()).digest()
        key = ('constant', dtype, array.shape, digest)
        if key not in self._made:
            name = f'constant_{len(self.initializers)}'
            self.initializers.append(numpy_helper.from_array(array, name))
            self._made[key] = Ref(name, dtype, *bounds)
        return self._made[key]

    def axes(self, values: Sequence[int]) -> Ref:
        """A list of sizes or positions, as operators take them."""
        return self.constant(np.array(values, np.int64), 'int64')

    def given(self, x: Known | int, dtype: str | None = None) -> Ref:
        """Anything as a tensor of the graph, in a type that has its numbers."""
        if isinstance(x, Ref):
            return x if dtype is None else self.cast(x, dtype)
        if isinstance(x, Tensor):
            return self.constant(x, dtype or dtype_name(x.dtype))
        return self.constant(x, dtype or narrowest(x))

    def cast(self, x: Ref, dtype: str) -> Ref:
        """The same numbers in another type.

        Raises:
            OverflowError: If it does not have them.
        """
        if not holds(dtype, x.low, x.high):
            raise OverflowError(f'{dtype} for numbers in {x.low}..{x.high}')
        return self.wrap(x, dtype, x.low, x.high)

    def wrap(
        self, x: Ref, dtype: str, low: int | None = None, high: int | None = None
    ) -> Ref:
        """Numbers modulo the size of another type, within bounds if any."""
        if x.dtype == dtype:
            return x
        made = self.op('Cast', x, dtype=dtype, to=onnx_type(dtype))
        if low is None or high is None:
            return made
        return made._replace(low=low, high=high)
