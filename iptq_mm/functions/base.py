"""The interface of integer functions.

An integer function is an integer-only approximation of GELU, Softmax or LayerNorm. It
has two parts. When the plan is made, :meth:`IntegerFunction.prepare` turns scales into
integer constants; floats are allowed there. At run time,
:meth:`IntegerFunction.integer` maps integers to integers with these constants and
nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..intmath import QParams
from .curves import curve

#: Integer constants of a function at one site: ints, or int64 tensors (tables, or one
#: value per channel).
Constants = dict[str, Any]


def function_name(cfg: Mapping[str, Any]) -> str:
    """The name of a candidate: its type, followed by its options if it has any."""
    options = ', '.join(f'{k}={v}' for k, v in cfg.items() if k != 'type')
    return f'{cfg["type"]}({options})' if options else str(cfg['type'])


class OperationCount(NamedTuple):
    """Number of operations for one output element (metric C of IPTQ-ViT).

    Attributes:
        add: Additions, subtractions, comparisons, clips and signs.
        mul: Multiplications.
        shift: Shifts (a count of leading zeros is one).
        div: Integer divisions.
        lookup: Table look-ups.
    """

    add: float = 0
    mul: float = 0
    shift: float = 0
    div: float = 0
    lookup: float = 0

    def weighted(self, weights: dict[str, float] | None = None) -> float:
        """Sum of the counts, each times its weight (1 where none is given)."""
        weights = weights or {}
        return sum(n * weights.get(k, 1.0) for k, n in self._asdict().items())


@dataclass(frozen=True)
class FunctionSite:
    """What a function is told about a site when its constants are made.

    Attributes:
        x: Quantizer of the input. ``x.qmin .. x.qmax`` holds every input. An input of
            Softmax may have more than 16 bits, if a mask was added to it.
        out: Quantizer of the output.
        samples: Representative real inputs, shape (n,), with their
            ``weights``; from the calibration record. None without a record.
        weights: Weight of each sample, shape (n,).
        gamma: LayerNorm's weight by channel, float64, shape (C,).
        beta: LayerNorm's bias by channel, float64, shape (C,).
        eps: LayerNorm's epsilon, added to the variance of real values.
        approximate: Which GELU the model uses, ``'none'`` (erf) or ``'tanh'``.
        attributes: Of an elementwise function: its name and its parameters, see
            :mod:`.curves`.
    """

    x: QParams
    out: QParams
    samples: Tensor | None = None
    weights: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    eps: float = 1e-5
    approximate: str = 'none'
    attributes: Mapping[str, Any] = field(default_factory=dict)


class IntegerFunction(ABC):
    """One integer approximation; subclasses register in ``FUNCTIONS``.

    Attributes:
        kind: The operation that it approximates, ``gelu`` for instance.
        max_input_bits: Largest number of bits of its input. A site with this function
            requantizes an input that has more.
    """

    kind: ClassVar[str]
    max_input_bits: ClassVar[int] = 16

    @staticmethod
    @abstractmethod
    def reference(x: Tensor, **attributes: Any) -> Tensor:
        """The float function that is approximated."""

    @abstractmethod
    def prepare(self, site: FunctionSite) -> Constants:
        """The integer constants for a site.

        Raises:
            ValueError: If the function cannot serve this site; the message
                says why.
        """

    @abstractmethod
    def integer(self, q: Tensor, constants: Constants) -> Tensor:
        """The function, computed with integers only.

        Args:
            q: Integers at scale ``site.x.scale``; Softmax and LayerNorm work
                along the last dimension.
            constants: From :meth:`prepare`.

        Returns:
            int32 or int64 at scale ``site.out.scale``, the shape of ``q``,
            *not* saturated: the caller clamps and counts.
        """

    @abstractmethod
    def operations(self, row: int) -> OperationCount:
        """Operations per element.

        Args:
            row: Elements of a row, among which the work done once per row is shared.
        """


class GELUFunction(IntegerFunction):
    """Approximations of GELU."""

    kind = 'gelu'

    @staticmethod
    def reference(  # type: ignore[override]
        x: Tensor, approximate: str = 'none'
    ) -> Tensor:
        """GELU, elementwise."""
        return F.gelu(x, approximate=approximate)


class UnaryFunction(IntegerFunction):
    """Approximations of any other elementwise function."""

    kind = 'unary'

    @staticmethod
    def reference(  # type: ignore[override]
        x: Tensor, name: str = 'silu', **parameters: Any
    ) -> Tensor:
        """The function ``name``, elementwise; see :mod:`.curves`."""
        return curve(x, name, **parameters)


class SoftmaxFunction(IntegerFunction):
    """Approximations of Softmax along the last dimension."""

    kind = 'softmax'

    @staticmethod
    def reference(x: Tensor) -> Tensor:  # type: ignore[override]
        """Softmax along the last dimension."""
        return torch.softmax(x, -1)


class LayerNormFunction(IntegerFunction):
    """Approximations of LayerNorm along the last dimension, gamma and beta included."""

    kind = 'layer_norm'

    @staticmethod
    def reference(  # type: ignore[override]
        x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5
    ) -> Tensor:
        """LayerNorm along the last dimension."""
        return F.layer_norm(x, x.shape[-1:], gamma, beta, eps)
