"""What takes part in a benchmark."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from ..cases import Case, tensors


class Unavailable(Exception):  # noqa: N818  (it is none)
    """A contender cannot take part; the message says why."""


class Prepared(NamedTuple):
    """A contender that is ready for a case.

    Attributes:
        call: One inference: what is measured.
        outputs: What such a call returned, as tensors in the order of the model's own.
    """

    call: Callable[[], Any]
    outputs: Callable[[Any], list[Tensor]] = tensors


class Contender(ABC):
    """A way to run a network.

    Attributes:
        name: On the command line and in tables.
        integers: Whether it must agree with the eager integer mode to the bit.
    """

    name: str
    integers = False

    @abstractmethod
    def prepare(self, case: Case) -> Prepared:
        """Get ready for a case; the first call may still compile.

        Raises:
            Unavailable: If it cannot run here, or not this case.
        """
