"""The interface between rules and modes: what a rule asks of the running mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from ..operations import Operation
from .context import current_location
from .errors import unsupported
from .tensor import QTensor


class Mode(Protocol):
    """The calls of rules, which every :class:`iptq_mm.modes.Mode` implements.

    A rule translates a torch function into these four calls; what they do with the
    numbers (observe, search, compute in integers) is the mode's matter.
    """

    def run(
        self,
        operation: Operation,
        inputs: Sequence[QTensor | None],
        attributes: dict[str, Any],
    ) -> QTensor:
        """The result of an operation, which becomes a site.

        Args:
            operation: The operation.
            inputs: Its operands, None for an optional one that is missing.
            attributes: Its other arguments, such as ``stride``.
        """
        ...

    def fold(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """The result of a torch function whose arguments are all constants.

        It is computed in floats, and every float tensor in it becomes a constant.
        """
        ...

    def constant(self, value: Tensor) -> QTensor:
        """A float tensor of the model code as a constant operand."""
        ...

    def real_of_given(self, x: QTensor) -> QTensor:
        """Given integers (see :mod:`.rules.given`) as the floats that they are."""
        ...

    def read_given(self, x: QTensor) -> Tensor:
        """The numbers of given integers, for a function without a rule for them."""
        ...

    def padding(self, x: QTensor) -> None:
        """Take note that ``x`` is about to be padded with 0.0 (equalization asks)."""
        ...


def current_mode() -> Mode:
    """The mode of the region that runs.

    Raises:
        UnsupportedOperationError: Outside every region.
    """
    location = current_location()
    if location is None:
        raise unsupported(
            'a QTensor left its region',
            'let every output of a region be a tensor or a list, tuple or dict of '
            'tensors',
        )
    mode: Mode = location.mode
    return mode
