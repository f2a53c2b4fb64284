"""Operations of sites, each of them in floats and in integers."""

from .arithmetic import Add, Concat, MatMul, Mul
from .base import (
    ACTIVATION,
    BIAS,
    EMBEDDING,
    NORM,
    TABLE,
    TRANSPOSED,
    WEIGHT,
    WEIGHTS,
    Operation,
    SiteInputs,
)
from .embedding import Embedding
from .linear_layers import Conv2d, Linear, TransposedConv2d
from .nonlinear import GELU, LayerNorm, NonLinear, Softmax, Unary
from .reductions import Max, Mean
from .relu import ReLU

#: Operations by kind, the word that site names use.
OPERATIONS: dict[str, Operation] = {
    operation.kind: operation
    for operation in (
        Linear(),
        Conv2d(),
        MatMul(),
        Add(),
        Mul(),
        Concat(),
        Mean(),
        Max(),
        ReLU(),
        GELU(),
        Unary(),
        Softmax(),
        LayerNorm(),
        Embedding(),
    )
}

__all__ = [
    'ACTIVATION',
    'BIAS',
    'EMBEDDING',
    'NORM',
    'OPERATIONS',
    'TABLE',
    'TRANSPOSED',
    'WEIGHT',
    'WEIGHTS',
    'NonLinear',
    'Operation',
    'SiteInputs',
    'TransposedConv2d',
]
