"""The time that products take by themselves, each in its native kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...intmath import QParams
from ...native.library import library
from ...operations import OPERATIONS, SiteInputs
from ...qtensor import QTensor, WeightQParams
from ..backends.native.program import NativeProgram
from .function_times import LEAST_RUNS, RUNS, SLOW, one_thread
from .site_kernels import site_program


@dataclass(frozen=True)
class LoneProduct:
    """A linear layer, a convolution or a matrix product on random integers.

    Attributes:
        kind: Its kind, ``linear`` for instance.
        shapes: Of the two operands.
        output: Shape of the output.
        attributes: Other arguments.
        bits: Of the two operands.
        out_bits: Of the output.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    attributes: Mapping[str, Any]
    bits: tuple[int, int]
    out_bits: int

    def runner(self) -> Callable[[], Any]:
        """A call that computes it: its native kernel, or torch where there is none."""
        native, given, plain = self._made()
        return plain if native is None else lambda: native.run(given)

    def native(self) -> tuple[NativeProgram, list[Tensor]] | None:
        """Its native program and integers for it; None if there is no kernel."""
        native, given, _ = self._made()
        return None if native is None else (native, given)

    def _made(self) -> tuple[NativeProgram | None, list[Tensor], Callable[[], Any]]:
        operation, out = OPERATIONS[self.kind], QParams.symmetric(1.0, self.out_bits)
        generator = torch.Generator().manual_seed(0)
        operands = []
        for i, (shape, bits) in enumerate(zip(self.shapes, self.bits, strict=True)):
            most = 2 ** (bits - 1) - 1
            drawn = torch.randint(-most, most + 1, shape, generator=generator)
            integers = drawn.to(torch.int8 if bits <= 8 else torch.int16)
            if i and self.kind != 'matmul':
                scale = torch.full(shape[:1], 1 / most, dtype=torch.float64)
                weight = WeightQParams(scale, most)
                operands.append(QTensor(integers, weight, 'weight', constant=True))
            else:
                qparams = QParams.symmetric(1.0, bits)
                operands.append(QTensor(integers, qparams, f'input:{i}'))
        payloads = [x.payload for x in operands]
        attributes = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in self.attributes.items()
        }
        known = SiteInputs(
            [*payloads, None],
            [x.qparams for x in operands],
            out,
            attributes,
            operation.terms(payloads, attributes),
        )
        constants = operation.prepare(known)
        native = site_program(
            'alone', operation, None, operands, constants, attributes, out, self.output
        )
        given = [x.payload for x in operands if not x.constant]
        return (
            native,
            given,
            lambda: operation.integer(payloads, constants, attributes),
        )


def product_times(products: Sequence[LoneProduct]) -> list[float]:
    """The time of each product in its native kernel, on one thread.

    The kernel reads its operands from memory and writes its output there; in a model,
    kernels are also fused. Products take turns, so that all of them meet the same
    conditions; the quickest of several runs counts.

    Args:
        products: The products.

    Returns:
        Nanoseconds of one call, of four significant digits.

    Raises:
        RuntimeError: If there is no native library.
    """
    library()
    runners = [product.runner() for product in products]
    spent: list[list[float]] = [[] for _ in runners]
    with one_thread():
        for run in range(1 + RUNS):
            for runner, times in zip(runners, spent, strict=True):
                if run > LEAST_RUNS and sum(times) > SLOW:
                    continue
                began = time.perf_counter()
                runner()
                if run:  # the first one warms up
                    times.append(time.perf_counter() - began)
    return [float(f'{min(times) * 1e9:.4g}') for times in spent]
