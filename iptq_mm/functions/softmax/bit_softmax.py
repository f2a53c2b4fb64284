"""Bit-Softmax of IPTQ-ViT."""

from __future__ import annotations

from torch import Tensor

from ...registry import FUNCTIONS
from ..base import Constants, FunctionSite, OperationCount, SoftmaxFunction
from ..exponential import tangent_exp_
from ..exponents import SHIFT_LOG2E, prepare_exponent, row_exponents
from ..published import prepare_shift_exp
from .rows import prepare_codes, prepare_quotient, quotient
from .shiftmax import published_shiftmax

_SPLITS = ('nearest', 'floor')


@FUNCTIONS.register_module('bit_softmax')
class BitSoftmax(SoftmaxFunction):
    """Softmax whose exponential is a tangent of ``2**t``.

    Source: IPTQ-ViT (arXiv 2511.15369), Efficient Bit-Softmax: ``2**r`` as
    ``1 + (r >> 1) + (r >> 3) + (r >> 4)``. The error that the paper states, 0.1126
    against 0.1717 of ``1 + r/2``, is the RMS over ``-1 <= r <= 1`` with ln2 in the
    place of the shifts. Splitting at the floor leads to ``-1 < r <= 0``, where the
    tangent is worse than I-ViT's chord (0.086 against 0.031); splitting at the
    nearest integer leads to ``-1/2 <= r <= 1/2``, where it is better (0.027). The
    paper does not say how it splits.

    Args:
        split: Which integer a base-2 exponent is split at, ``'nearest'`` or
            ``'floor'``. Defaults to ``'nearest'``, or to ``'floor'`` in the literal
            form, which has no other.
        n: Largest base-2 exponent, at most 30; larger ones are clamped to it.
            Defaults to 30, where an exponential is 0; in the literal form to 15.
        literal: I-ViT's arithmetic with the paper's tangent.

    Raises:
        ValueError: If ``split`` is unknown or not one of the literal form.
    """

    def __init__(
        self,
        split: str | None = None,
        n: int | None = None,
        literal: bool = False,
    ) -> None:
        self.split = split or ('floor' if literal else 'nearest')
        if self.split not in _SPLITS or (literal and self.split != 'floor'):
            raise ValueError(
                f'split is one of {_SPLITS}, floor in the literal form; not {split!r}'
            )
        self.n = n if n is not None else 15 if literal else 30
        self.literal = literal

    def prepare(self, site: FunctionSite) -> Constants:
        """See the base class.

        Raises:
            ValueError: If the input spans more than ``2**31`` integers.
            OverflowError: If the output scale is below about ``2**-30``.
        """
        if self.literal:
            codes = prepare_codes(site.out, bits=15)
            return {**prepare_shift_exp(site.x.scale, self.n), **codes}
        exponent = prepare_exponent(site.x, SHIFT_LOG2E, self.n)
        return {**exponent, **prepare_quotient(site.out)}

    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """See the base class."""
        if self.literal:
            return published_shiftmax(q, constants, output_bits=16, tangent=True)
        exponents = row_exponents(q, constants)
        return quotient(tangent_exp_(exponents, self.split == 'nearest'), constants)

    def operations(self, row: int) -> OperationCount:
        """See the base class."""
        return OperationCount(add=10, mul=2, shift=9, div=1 / row)
