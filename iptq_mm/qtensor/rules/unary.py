"""Rules of elementwise functions that one integer function computes: tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import unsupported
from ..mode import Mode
from ..tensor import QTensor
from .activations import relu
from .operands import run_operation
from .table import rule


def unary(mode: Mode, x: QTensor, name: str, **parameters: Any) -> QTensor:
    """The function ``name`` of :data:`iptq_mm.functions.CURVES`, at a site."""
    return run_operation(mode, 'unary', [x], {'name': name, **parameters})


def _rule_of(name: str, parameters: tuple[str, ...]) -> Callable:
    """The rule of a torch function with these parameters, in their order."""

    def compute(
        mode: Mode, x: QTensor, *args: Any, inplace: bool = False, **kwargs: Any
    ) -> QTensor:
        given = dict(zip(parameters, args, strict=False))
        rest = args[len(parameters) :]  # inplace may be given by position
        given |= {k: v for k, v in kwargs.items() if k in parameters}
        unknown = sorted(set(kwargs) - set(parameters))
        if (
            unknown
            or len(rest) > 1
            or any(isinstance(v, Tensor) for v in given.values())
        ):
            raise unsupported(
                f'{name} with the arguments {args} {kwargs} has no rule, only with '
                f'numbers for {", ".join(parameters) or "nothing"}'
            )
        result = unary(mode, x, name, **given)
        if not (inplace or any(rest)):
            return result
        x.become(result)
        return x

    return compute


def _in_place(compute: Callable) -> Callable:
    def update(mode: Mode, x: QTensor, *args: Any, **kwargs: Any) -> QTensor:
        return compute(mode, x, *args, inplace=True, **kwargs)

    return update


#: Name -> torch's functions, those that work in place, and their parameters.
_SPELLINGS: dict[str, tuple[tuple, tuple, tuple[str, ...]]] = {
    'celu': ((F.celu,), (), ('alpha',)),
    'elu': ((F.elu,), (), ('alpha',)),
    'erf': ((torch.erf, Tensor.erf), (Tensor.erf_,), ()),
    'exp': ((torch.exp, Tensor.exp), (torch.exp_, Tensor.exp_), ()),
    'hardsigmoid': ((F.hardsigmoid,), (), ()),
    'hardswish': ((F.hardswish,), (), ()),
    'hardtanh': ((F.hardtanh,), (), ('min_val', 'max_val')),
    'leaky_relu': ((F.leaky_relu,), (), ('negative_slope',)),
    'log': ((torch.log, Tensor.log), (torch.log_, Tensor.log_), ()),
    'logsigmoid': ((F.logsigmoid,), (), ()),
    'mish': ((F.mish,), (), ()),
    'reciprocal': (
        (torch.reciprocal, Tensor.reciprocal),
        (torch.reciprocal_, Tensor.reciprocal_),
        (),
    ),
    'relu6': ((F.relu6,), (), ()),
    'rsqrt': ((torch.rsqrt, Tensor.rsqrt), (torch.rsqrt_, Tensor.rsqrt_), ()),
    'selu': ((F.selu,), (), ()),
    'sigmoid': (
        (torch.sigmoid, Tensor.sigmoid, F.sigmoid),
        (torch.sigmoid_, Tensor.sigmoid_),
        (),
    ),
    'silu': ((F.silu,), (), ()),
    'softplus': ((F.softplus,), (), ('beta', 'threshold')),
    'softsign': ((F.softsign,), (), ()),
    'sqrt': ((torch.sqrt, Tensor.sqrt), (torch.sqrt_, Tensor.sqrt_), ()),
    'tanh': ((torch.tanh, Tensor.tanh, F.tanh), (torch.tanh_, Tensor.tanh_), ()),
}

for _name, (_functions, _changing, _parameters) in _SPELLINGS.items():
    _compute = _rule_of(_name, _parameters)
    rule(*_functions, computes=True)(_compute)
    if _changing:
        rule(*_changing, computes=True)(_in_place(_compute))


# clamp(min=0) is ReLU, which is no table: it keeps the scale.
@rule(torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, computes=True)
def clamp(
    mode: Mode, x: QTensor, min: Any = None, max: Any = None, inplace: bool = False
) -> QTensor:
    """A clamp to numbers."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        raise unsupported('clamp to tensors has no rule, only to numbers it has one')
    if min == 0 and max is None:
        return relu(mode, x, inplace)
    ends = {k: v for k, v in (('min', min), ('max', max)) if v is not None}
    result = unary(mode, x, 'clamp', **ends)
    if not inplace:
        return result
    x.become(result)
    return x


@rule(torch.clamp_, Tensor.clamp_, torch.clip_, Tensor.clip_, computes=True)
def _clamp_in_place(
    mode: Mode, x: QTensor, min: Any = None, max: Any = None
) -> QTensor:
    return clamp(mode, x, min, max, inplace=True)


@rule(torch.clamp_min, Tensor.clamp_min, computes=True)
def _clamp_min(mode: Mode, x: QTensor, min: Any) -> QTensor:
    return clamp(mode, x, min)


@rule(torch.clamp_max, Tensor.clamp_max, computes=True)
def _clamp_max(mode: Mode, x: QTensor, max: Any) -> QTensor:
    return clamp(mode, x, None, max)
