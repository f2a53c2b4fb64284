"""Which integer operators of ExecuTorch's portable kernels are exact.

python benchmarks/executorch_operators.py       # pip install executorch

Exports functions of integers and runs them, beside the same functions in torch.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Module(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *x: Tensor) -> Tensor:
        """Call the function."""
        return self._function(*x)


def executed(function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
    """What ExecuTorch makes, without a delegate.

    Raises:
        Exception: Whatever it raises where it does not take the function.
    """
    from executorch.exir import EdgeCompileConfig, to_edge
    from executorch.runtime import Runtime

    exported = torch.export.export(Module(function).eval(), inputs)
    config = EdgeCompileConfig(_check_ir_validity=False)
    program = to_edge(exported, compile_config=config).to_executorch()
    loaded = Runtime.get().load_program(program.buffer)
    return loaded.load_method('forward').execute(list(inputs))[0]


def cases() -> dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]]:
    """What requantization, products and tables need."""
    generator = torch.Generator().manual_seed(0)

    def numbers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    a, w = (numbers(-128, 128, *s).to(torch.int8) for s in ((4, 64), (64, 8)))
    x, table = numbers(-(2**30), 2**30, 4, 64), numbers(-(2**31), 2**31, 256)
    index = numbers(0, 256, 256)
    return {
        'mul of int64': (lambda q: q * (2**30 + 12345), (x,)),
        'add of int64': (lambda q: q + 2**60, (x,)),
        'shift of int64': (lambda q: torch.bitwise_right_shift(q * 2**30, 33), (x,)),
        'floor_divide of int64': (lambda q: (q * 2**30) // 2**33, (x,)),
        'clamp of int64': (lambda q: q.clamp(-128, 127), (x,)),
        'to int8': (lambda q: q.clamp(-128, 127).to(torch.int8), (x,)),
        'remainder of int64': (lambda q: q % 100, (x,)),
        'index_select of int64': (lambda i: table.index_select(0, i), (index,)),
        'mm of int32': (lambda p, q: p.int() @ q.int(), (a, w)),
        'mm of int64': (lambda p, q: p.long() @ q.long(), (a, w)),
        'sum of int64': (lambda q: (q * 2**20).sum(-1), (x,)),
        'amax of int64': (lambda q: (q * 2**20).amax(-1), (x,)),
    }


def said(function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> str:
    """How the result of a function differs, in words."""
    expected = function(*inputs)
    try:
        made = executed(function, inputs)
    except Exception as error:  # whatever the software raises
        return f'not taken ({str(error).strip().splitlines()[0][:90]})'
    if torch.equal(made, expected):
        return 'exact'
    other = int((made != expected).sum())
    most = int((made - expected).abs().max())
    return f'{other} of {expected.numel()} differ, by up to {most}'


def main() -> int:
    """Print what each operator does."""
    print(f'executorch {importlib.metadata.version("executorch")}, portable kernels')
    with torch.no_grad():
        for name, case in cases().items():
            print(f'{name}: {said(*case)}', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
