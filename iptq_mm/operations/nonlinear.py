"""GELU, Softmax, LayerNorm and others, computed by functions of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..functions import Constants, FunctionSite
from ..functions.curves import curve
from ..statistics import Statistics
from .base import ACTIVATION, NORM, Operation, SiteInputs


class NonLinear(Operation):
    """An operation that an integer function of the registry computes.

    It works along the last dimension of its first operand: no row depends on another.

    Attributes:
        saved: Whether the plan has the constants. It has not if they can be made
            again from integer parameters.
    """

    saved: ClassVar[bool] = True

    def shape(
        self, shapes: Sequence[tuple[int, ...] | None], attributes: dict[str, Any]
    ) -> tuple[int, ...]:
        """See the base class: that of the first operand."""
        assert shapes[0] is not None
        return shapes[0]

    def function_site(
        self, site: SiteInputs, seen: Statistics | None = None
    ) -> FunctionSite:
        """What the function is told about the site.

        Args:
            site: Quantizers and parameters.
            seen: Statistics of the input, for functions that are fitted to it.
        """
        samples, weights = seen.samples() if seen is not None else (None, None)
        return FunctionSite(
            site.qparams[0],
            site.out,
            samples,
            weights,
            approximate=site.attributes.get('approximate', 'none'),
            attributes=site.attributes,
        )

    def prepare(self, site: SiteInputs) -> Constants:
        """The constants of the plan, or new ones made from the parameters."""
        if site.saved:
            return site.saved
        assert site.function is not None
        return site.function.prepare(self.function_site(site))

    def integer(
        self, inputs: Sequence[Any], constants: Constants, attributes: dict[str, Any]
    ) -> Tensor:
        """Not used: the mode calls the integer function of the site."""
        raise TypeError('a non-linear site computes with its integer function')


class GELU(NonLinear):
    """GELU, elementwise."""

    kind = 'gelu'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return F.gelu(inputs[0], **attributes)


class Unary(NonLinear):
    """Any other elementwise function: ``name`` in the attributes says which."""

    kind = 'unary'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return curve(inputs[0], **attributes)


class Softmax(NonLinear):
    """Softmax along the last dimension."""

    kind = 'softmax'

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        return torch.softmax(inputs[0], -1)


class LayerNorm(NonLinear):
    """LayerNorm along the last dimension, gamma and beta included."""

    kind = 'layer_norm'
    saved = False
    roles = (ACTIVATION, NORM, NORM)

    def terms(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> int:
        """Number of channels."""
        return int(inputs[0].shape[-1])

    def real(self, inputs: Sequence[Any], attributes: dict[str, Any]) -> Tensor:
        """See the base class."""
        x, gamma, beta = inputs
        return F.layer_norm(x, x.shape[-1:], gamma, beta, attributes['eps'])

    def function_site(
        self, site: SiteInputs, seen: Statistics | None = None
    ) -> FunctionSite:
        """See the base class; gamma and beta instead of samples."""
        ones = torch.ones(site.terms, dtype=torch.float64)
        gamma, beta = site.real(1), site.real(2)
        return FunctionSite(
            site.qparams[0],
            site.out,
            gamma=ones if gamma is None else gamma.cpu(),
            beta=torch.zeros_like(ones) if beta is None else beta.cpu(),
            eps=site.attributes['eps'],
        )
